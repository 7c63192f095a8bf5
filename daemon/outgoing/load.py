"""Targets from the settings: `[[outgoing]]` tables, checked before anything runs."""
# ruff: noqa: PTH118

import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from afresh.assets.errors import DefinitionError, UsageError
from afresh.assets.selection import check_syntax
from afresh.daemon.outgoing.base import AT_ONCE, Target
from afresh.daemon.outgoing.url import split_url
from afresh.sensors.secret import Secret

_KINDS = {
    "file": ({"path"}, set[str]()),
    "webhook": ({"url"}, {"secret", "batch", "ca"}),
    "kafka": ({"servers", "topic"}, {"security", "allow_plaintext"}),
}
_COMMON = {"kind", "name", "select"}
_SECURITY = (
    'servers = "host:9092", topic = "versions", security = { tls = true, sasl = "SCRAM-SHA-512", '
    'username = "me", password = { env = "NAME" } }, or allow_plaintext = true'
)


def target_name(table: Mapping[str, Any]) -> str:
    """Give the name under which a target's events wait: by it they are found after a restart."""
    if table.get("name"):
        return str(table["name"])
    # The path of a webhook is often its secret: it is in no ledger and no log.
    host = str(table.get("url", "")).partition("://")[2].partition("/")[0].rpartition("@")[2]
    return f"{table['kind']}:{table.get('path') or host or table.get('topic')}"


def check_outgoing(tables: object) -> tuple[dict[str, Any], ...]:
    """Check the tables of the setting. Raises ValueError."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f'Expected tables like [[outgoing]] with kind = "file", found {tables!r}')
    names = set()
    for table in tables:
        _check_keys(table)
        if (name := target_name(table)) in names:
            raise ValueError(f"Expected another name = ... for each target, found {name!r} twice")
        names.add(name)
        _secret(table.get("secret"))
        _check_select(table.get("select"))
        batch = table.get("batch", 1)
        if not isinstance(batch, int) or isinstance(batch, bool) or not 1 <= batch <= AT_ONCE:
            raise ValueError(f"Expected batch of 1 to {AT_ONCE} in [[outgoing]], found {batch!r}")
        if table["kind"] == "webhook":
            _check_url(table["url"])
        if table["kind"] == "kafka":
            _cluster(table)
    return tuple(tables)


def _check_keys(table: Mapping[str, Any]) -> None:
    kind = table.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"Expected kind = one of {', '.join(_KINDS)}, found {kind!r}")
    needed, optional = _KINDS[kind]
    for key in sorted(needed - table.keys()):
        raise ValueError(f"Expected {key} = ... in [[outgoing]] of kind {kind!r}, found none")
    for key in table.keys() - needed - optional - _COMMON:
        known = ", ".join(sorted(needed | optional | _COMMON))
        raise ValueError(f"Expected keys of [[outgoing]] ({known}), found {key!r}")
    for key in ("name", "select", "path", "url", "topic", "ca"):
        value = table.get(key, "")
        if not isinstance(value, str) or "\0" in value or (key in needed and not value):
            raise ValueError(f"Expected text as {key} of [[outgoing]], found {value!r}")


def _check_select(text: str | None) -> None:
    try:
        check_syntax(text)
    except UsageError as error:
        raise ValueError(f"{error.error} as select of [[outgoing]]") from error


def _check_url(url: str) -> None:
    try:
        parts = split_url(url)
    except ValueError as error:
        raise ValueError(f'{error} as url = "https://HOST/PATH" of [[outgoing]]') from None
    if "@" in parts.netloc:
        raise ValueError(
            "Expected url without credentials in [[outgoing]], found some before the @: "
            'secret = { env = "NAME" } signs what is sent'
        )


def _cluster(table: Mapping[str, Any]) -> dict[str, Any]:
    """Give the servers and the security of a cluster as `kafka(...)` declares them."""
    # Lazy: only who tells Kafka pays for it.
    from afresh.sensors.kafka_topics.spec import kafka  # noqa: PLC0415

    security, plaintext = table.get("security", {}), table.get("allow_plaintext", False)
    if not isinstance(security, dict) or not isinstance(plaintext, bool):
        raise ValueError(f"Expected [[outgoing]] with {_SECURITY}, found something else")  # noqa: TRY004 - a setting
    named: dict[str, Any] = {
        name: _secret(value) if isinstance(value, dict) else value
        for name, value in security.items()
    }
    try:
        declared = kafka(
            table["topic"], servers=table["servers"], security=named, allow_plaintext=plaintext
        ).declared()
    except DefinitionError as error:
        raise ValueError(f"{error.error} in [[outgoing]]: {_SECURITY}") from error
    return declared.sensor.options


def build_target(table: Mapping[str, Any], *, project: str, now: Callable[[], float]) -> Target:
    """Make the target of a table. Raises AfreshError."""
    if table["kind"] == "file":
        # Lazy, as the others: a kind that is not used costs nothing.
        from afresh.daemon.outgoing.file import FileTarget  # noqa: PLC0415

        return FileTarget(os.path.join(project, table["path"]))
    if table["kind"] == "webhook":
        from afresh.daemon.outgoing.webhook import WebhookTarget  # noqa: PLC0415

        authorities = table.get("ca")
        return WebhookTarget(
            table["url"],
            secret=_secret(table.get("secret")),
            now=now,
            batch=table.get("batch", 1),
            authorities=os.path.join(project, authorities) if authorities else None,
        )
    from afresh.daemon.outgoing.kafka import KafkaTarget  # noqa: PLC0415

    cluster = _cluster(table)
    return KafkaTarget(cluster["servers"], table["topic"], cluster["security"], project)


def _secret(value: object) -> Secret | None:
    """Read `{ env = "NAME" }` or `{ file = "/path" }`. Raises ValueError."""
    if value is None:
        return None
    try:
        found = msgspec.convert(value, Secret)
    except msgspec.ValidationError:
        found = Secret()
    if bool(found.env) == bool(found.file):
        raise ValueError('Expected secret = { env = "NAME" } or { file = "/path" }')
    return found
