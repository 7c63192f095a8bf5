"""What a record has beside its value, as columns: those that the source asks for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from afresh.assets.arrow_types import arrow_type
from afresh.sensors.records import Record
from afresh.storage.formats.base import shown

_encode = msgspec.json.Encoder().encode


def add_columns(
    table: pa.Table,
    records: Sequence[Record],
    rows: Sequence[int],
    columns: str,
    types: Mapping[str, str],
) -> tuple[pa.Table, dict[int, str]]:
    """Add the columns (names, separated by commas) to a table whose rows are of these records.

    Gives the table, and of the rows that hold what the schema's type does not, the reason.

    A key is text, or bytes where the schema says `binary`; what is not UTF-8 in text is escaped.
    Headers are a JSON list of name and value. Times are UTC. A field of the value that has the name
    of such a column gives way to it.
    """
    wrong: dict[int, str] = {}
    for name in filter(None, columns.split(",")):
        kind, value = _COLUMNS[name]
        if name == "key" and types.get(name) == "binary":
            kind, value = pa.binary(), _key
        values = [value(records[row]) for row in rows]
        array = pa.array(values, kind)
        if name in types and types[name] != str(kind):
            array, failed = _cast(array, arrow_type(types[name]), values)
            wrong |= {row: f"{reason} in column {name!r}" for row, reason in failed.items()}
        place = table.schema.get_field_index(name)
        if place < 0:
            table = table.append_column(name, array)
        else:
            table = table.set_column(place, name, array)
    return table, wrong


def _cast(
    array: pa.Array, kind: pa.DataType, values: Sequence[Any]
) -> tuple[pa.Array, dict[int, str]]:
    """Cast to the schema's type; where that fails, a null and the reason."""
    try:
        return array.cast(kind), {}
    except pa.ArrowInvalid:
        pass
    pieces: list[pa.Array] = []
    wrong: dict[int, str] = {}
    for row, value in enumerate(values):
        try:
            pieces.append(array.slice(row, 1).cast(kind))
        except pa.ArrowInvalid:
            pieces.append(pa.nulls(1, kind))
            wrong[row] = f"Expected {kind}, found {shown(value)}"
    return pa.concat_arrays(pieces), wrong


def _key(record: Record) -> bytes | None:
    return record.key


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _headers(record: Record) -> str:
    return _encode([[name, _text(value)] for name, value in record.headers]).decode()


def _timestamp(record: Record) -> int | None:
    return record.timestamp_ms if record.timestamp_ms >= 0 else None


_COLUMNS: Mapping[str, tuple[pa.DataType, Callable[[Record], Any]]] = {
    "key": (pa.string(), lambda record: _text(record.key)),
    "headers": (pa.string(), _headers),
    "timestamp": (pa.timestamp("ms", "UTC"), _timestamp),
    "offset": (pa.int64(), lambda record: record.offset if record.offset >= 0 else None),
    "partition": (pa.int64(), lambda record: record.channel),
    "channel": (pa.int64(), lambda record: record.channel),
}
