"""Which message formats there are: a file each, or an entry point."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points

from afresh.assets.errors import UsageError
from afresh.assets.nearest import did_you_mean
from afresh.storage.formats.base import Options
from afresh.storage.formats.messages.base import MessageFormat

ENTRY_POINTS = "afresh.messages"
"""Others' formats: each entry is a class without arguments that meets `MessageFormat`."""

COMMON_OPTIONS = frozenset({"columns", "tombstones"})
"""Options of any stream: which places of a record are columns, and what one without a value is."""
TOMBSTONES = ("reject", "row")

RECORD_COLUMNS = ("key", "headers", "timestamp", "offset", "partition", "channel")
"""What a record has beside its value; `partition` is Kafka's word for its channel."""

_HOMES: Mapping[str, str] = {
    "avro": "afresh.storage.formats.messages.avro:Avro",
    "json": "afresh.storage.formats.messages.json:Json",
    "jsonl": "afresh.storage.formats.messages.json:JsonLines",
    "json_schema": "afresh.storage.formats.messages.json_schema:JsonSchema",
    "protobuf": "afresh.storage.formats.messages.protobuf:Protobuf",
}
"""Module and class of each format of ours: what needs a client library loads it when it is used."""


def message_format(name: str) -> MessageFormat:
    """Give the format of that name. Raises UsageError for one that nobody has."""
    home = _HOMES.get(name)
    if home is not None:
        module, _, kind = home.partition(":")
        found: MessageFormat = getattr(import_module(module), kind)()
        return found
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        other: MessageFormat = entry.load()()
        return other
    known = ", ".join(_HOMES)
    raise UsageError(
        f"Expected a format of messages ({known}), found {name!r}",
        hint=did_you_mean(name, _HOMES, "for example format='json'"),
    )


def check_message_options(kind: MessageFormat, options: Options) -> None:
    """Raise UsageError for options that the format does not know, or that cannot be."""
    for option in options:
        if option not in kind.options | COMMON_OPTIONS:
            known = ", ".join(sorted(kind.options | COMMON_OPTIONS))
            raise UsageError(
                f"Expected an option of {kind.name} messages ({known}), found {option!r}",
                hint=did_you_mean(option, kind.options | COMMON_OPTIONS, "leave it out"),
            )
    _check_columns(options.get("columns"))
    _check_tombstones(options.get("tombstones", "reject"))
    kind.check(options)


def _check_columns(value: object) -> None:
    if value is None or value == "":
        return
    names = value.split(",") if isinstance(value, str) else [value]
    for name in names:
        if name not in RECORD_COLUMNS:
            raise UsageError(
                f"Expected columns of records ({', '.join(RECORD_COLUMNS)}), found {name!r}",
                hint='write options={"columns": "key,headers"}',
            )
    if len(set(names)) < len(names):
        raise UsageError(
            f"Expected each column of records once, found {value!r}", hint="leave out the second"
        )


def _check_tombstones(value: object) -> None:
    if value not in TOMBSTONES:
        raise UsageError(
            f"Expected tombstones as one of {', '.join(TOMBSTONES)}, found {value!r}",
            hint='write options={"tombstones": "row"} for a row of nulls beside the key',
        )
