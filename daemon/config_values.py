"""What each setting may be: readers that give its value or raise ValueError.

UsageError where there is a way out to name.
"""

import re
from collections.abc import Callable
from typing import Any

from afresh.assets.duration import seconds
from afresh.assets.errors import UsageError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def _modules(value: object) -> tuple[str, ...]:
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        msg = f'Expected a list of modules like ["pipeline"], found {value!r}'
        raise ValueError(msg)
    for name in names:
        if not isinstance(name, str) or not _MODULE.fullmatch(name):
            msg = f'Expected a module name like "pipeline" (no path, no .py), found {name!r}'
            raise ValueError(msg)
    return tuple(dict.fromkeys(names))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        msg = f"Expected a path or URL, found {value!r}"
        raise ValueError(msg)
    return value


def _path(default: str) -> Callable[[object], str]:
    """Read a path of this machine; `default` is what to write in place of a URL."""

    def read(value: object) -> str:
        text = _text(value)
        url = _URL.match(text)
        if url is not None:
            # No more of it is shown: it may hold a password.
            raise UsageError(
                f"Expected a path on this machine, found a URL: {url[0]}...",
                hint=f"write a path, as in {default}",
            )
        return text

    return read


def _store(value: object) -> str:
    text = _text(value)
    protocol, found, path = text.partition("://")
    if found and protocol == "memory":
        msg = f"Expected artifacts where all processes find them, found {text!r}"
        raise ValueError(msg)
    credentials, at, _ = path.partition("/")[0].rpartition("@")
    if found and at and ":" in credentials:
        # It would be in the ledger, and is not shown here either.
        raise ValueError("Expected a URL without credentials, found some before the @")
    return text


def _count(value: object) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 4096:
        msg = f"Expected a number of workers from 1 to 4096, found {value!r}"
        raise ValueError(msg)
    return number


def _number(value: object) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        msg = f"Expected a number of 1 or more, found {value!r}"
        raise ValueError(msg)
    return number


def _size(value: object) -> int:
    # Lazy: only who sets a size pays for it.
    from afresh.assets.size import size  # noqa: PLC0415

    return size(value)


def _duration(value: object) -> float:
    if isinstance(value, str):
        try:
            return seconds(float(value))
        except ValueError:
            return seconds(value)
    return seconds(value)


def _interval(value: object) -> float:
    number = _duration(value)
    if number < 0.05:
        msg = f"Expected an interval of 0.05 seconds or more, found {value!r}"
        raise ValueError(msg)
    return number


def _alerts(value: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        msg = f'Expected tables like [[alerts]] with kind = "command", found {value!r}'
        raise ValueError(msg)
    for table in value:
        kind, command, url = (table.get(key) for key in ("kind", "command", "url"))
        if not isinstance(kind, str) or not kind:
            msg = f'Expected kind = "command" or "webhook" in each of alerts, found {table!r}'
            raise ValueError(msg)
        if kind == "command" and not (
            isinstance(command, list) and command and all(isinstance(c, str) for c in command)
        ):
            msg = f'Expected command = ["program", "argument"] in alerts, found {command!r}'
            raise ValueError(msg)
        if kind == "webhook" and not (
            isinstance(url, str) and url.startswith(("http://", "https://"))
        ):
            msg = f'Expected url = "https://..." in alerts, found {url!r}'
            raise ValueError(msg)
    return tuple(value)


def _parameters(value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        msg = f"Expected tables like [parameters.ASSET], found {value!r}"
        raise ValueError(msg)  # noqa: TRY004 - as for all settings - the one error that readers raise
    tables: dict[str, dict[str, Any]] = {}
    for name, table in value.items():
        if not isinstance(table, dict):
            msg = f"Expected a table [parameters.{name}], found {table!r}"
            raise ValueError(msg)  # noqa: TRY004 - as for all settings
        tables[name] = table
    return tables


_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):([0-9]{1,5})")


def _address(value: object) -> str:
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[1]) > 65535:
        msg = f'Expected an address like "127.0.0.1:8787" or "[::1]:8787", found {value!r}'
        raise ValueError(msg)
    return found[0]


def _outgoing(value: object) -> tuple[dict[str, Any], ...]:
    # Lazy: only who tells others pays for it.
    from afresh.daemon.outgoing.load import check_outgoing  # noqa: PLC0415

    return check_outgoing(value)


READERS: dict[str, Callable[[Any], Any]] = {
    "definitions": _modules,
    "state": _path('state = ".afresh"'),
    "ledger": _path('ledger = ".afresh/ledger.sqlite": it is kept in SQLite'),
    "artifacts": _store,
    "workers": _count,
    "max_wait": _duration,
    "scan_interval": _interval,
    "keep_rejected": _duration,
    "new_rows": _number,
    "new_bytes": _size,
    "dead_letters": _number,
    "dead_letter_bytes": _size,
    "most_pending": _number,
    "http": _address,
    "name": _text,
    "alerts": _alerts,
    "outgoing": _outgoing,
    "parameters": _parameters,
}
PLAIN = tuple(key for key in READERS if key not in ("alerts", "outgoing", "parameters"))
