"""`doctor`: what of this machine and this project would stand in the way."""

import os
import platform
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from afresh.assets.errors import AfreshError, LedgerError
from afresh.daemon.api.outgoing import waiting_rows
from afresh.daemon.config import Settings
from afresh.sensors.folders.probe import probe
from afresh.storage.ledger.filesystem import refuse_network
from afresh.storage.ledger.lock import holder_of, is_held
from afresh.storage.ledger.reader import Reader

_GIB = 1 << 30
_LEAST_FREE = 100 << 20
_LEAST_FILES = 1024
_LEAST_WATCHES = 8192
_LEAST_QUEUED = 16_384
_CLOCK_SECONDS = 60.0
_LATE_SECONDS = 3600.0
_LATEST = "SELECT MAX(observed_at) FROM event"


def diagnose(settings: Settings, release: str, now: float) -> list[dict[str, Any]]:
    """Check all; rows of `check, state, detail, hint`, state `ok`, `warning` or `failed`."""
    checks = (_versions(release), _folders(settings), _limits(), _ledger(settings, now))
    return [row for rows in checks for row in rows]


def _versions(release: str) -> Iterator[dict[str, Any]]:
    yield _row("afresh", "ok", f"{release} on Python {platform.python_version()}")
    yield _row("system", "ok", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield _row("sqlite", "ok", sqlite3.sqlite_version)


def _folders(settings: Settings) -> Iterator[dict[str, Any]]:
    yield _row("settings", "ok", f"{settings.file} in {settings.project}")
    missing = [name for name in settings.definitions if not _module(settings.project, name)]
    if missing:
        detail = f"there is no module {missing[0]!r} in {settings.project}"
        yield _row("definitions", "failed", detail, "see `definitions` in the settings")
    else:
        yield _row("definitions", "ok", ", ".join(settings.definitions))
    found = probe(settings.project)
    state = "ok" if found.notifies and not found.note else "warning"
    yield _row("file system", state, found.note or found.kind or "unknown", "files are scanned")
    yield from _state_folder(settings)


def _module(project: str, name: str) -> bool:
    path = Path(project, *name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _state_folder(settings: Settings) -> Iterator[dict[str, Any]]:
    state = Path(settings.state)
    nearest = next(path for path in (state, *state.parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        yield _row("state", "failed", f"{nearest} cannot be written", "make it yours")
    elif state.exists() and state.stat().st_mode & 0o077:
        yield _row("state", "warning", f"{state} is open to others", f"chmod 700 {state}")
    else:
        yield _row("state", "ok", str(state))
    try:
        refuse_network(nearest)
        yield _row("state file system", "ok", probe(str(nearest)).kind or "unknown")
    except AfreshError as error:
        yield _row("state file system", "failed", error.error, error.hint)
    disk = os.statvfs(nearest)
    free = disk.f_bavail * disk.f_frsize
    level = "failed" if free < _LEAST_FREE else "warning" if free < _GIB else "ok"
    yield _row("disk", level, f"{free / _GIB:.1f} GiB free at {nearest}", "make room")


def _limits() -> Iterator[dict[str, Any]]:
    for name, least in (
        ("max_user_watches", _LEAST_WATCHES),
        ("max_user_instances", 16),
        ("max_queued_events", _LEAST_QUEUED),
    ):
        try:
            value = int(Path("/proc/sys/fs/inotify", name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            yield _row(f"inotify {name}", "warning", "unknown here", "folders are scanned instead")
            continue
        hint = f"sysctl fs.inotify.{name}={max(least, 4 * value)}"
        yield _row(f"inotify {name}", "ok" if value >= least else "warning", str(value), hint)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    state = "ok" if files >= _LEAST_FILES else "warning"
    yield _row("open files", state, str(files), f"ulimit -n {_LEAST_FILES}")


def _ledger(settings: Settings, now: float) -> Iterator[dict[str, Any]]:
    folder = Path(settings.ledger).parent
    held = folder.exists() and is_held(folder)
    holder = holder_of(folder) if held else None
    if holder is not None:
        yield _row("daemon", "ok", f"runs: pid {holder.pid} on {holder.host}")
    else:
        yield _row("daemon", "ok", "runs" if held else "none is running")
    if not Path(settings.ledger).exists():
        yield _row("ledger", "ok", "none yet: `afresh up` makes one")
        return
    try:
        with Reader(settings.ledger) as reader:
            ((mode,),) = reader.rows("PRAGMA journal_mode")
            ((latest,),) = reader.rows(_LATEST)
            targets = waiting_rows(settings.outgoing, reader.rows)
    except LedgerError as error:
        yield _row("ledger", "failed", error.error, error.hint)
        return
    hint = "let `afresh up` open it once: it sets WAL"
    yield _row("ledger", "ok" if mode == "wal" else "warning", f"journal mode {mode}", hint)
    if latest is not None and latest > now + _CLOCK_SECONDS:
        ahead = f"the last event was seen {latest - now:.0f} s from now"
        yield _row("clock", "warning", ahead, "set the clock; order does not depend on it")
    else:
        yield _row("clock", "ok", "not behind the last event")
    for target in targets:
        detail = f"{target['waiting']} events wait"
        if target["waiting"]:
            detail += f" since {target['since']}"
        detail += f": {target['error']}" if target["error"] else ""
        late = _is_late(target, now)
        hint = f"mend it, or let go of them: afresh outgoing drop {target['target']}"
        state = "warning" if late or target["state"] != "ok" else "ok"
        yield _row(f"outgoing {target['target']}", state, detail, hint)


def _is_late(target: dict[str, Any], now: float) -> bool:
    return bool(target["waiting"]) and now - target["at"] > _LATE_SECONDS


def _row(check: str, state: str, detail: str, hint: str = "") -> dict[str, Any]:
    return {"check": check, "state": state, "detail": detail, "hint": "" if state == "ok" else hint}
