"""An artifact's rows: as plain values for JSON, as CSV, as Parquet, as text.

Only `afresh read` imports this: pyarrow is a data library.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from afresh.assets.errors import DataError

_ROWS = 10_000
"""Rows that are turned into values at once."""


def join(tables: Sequence[pa.Table]) -> pa.Table:
    """Put the units of an asset together. Raises DataError where they do not fit."""
    if len(tables) == 1:
        return tables[0]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"Expected units of one form, found: {error}", hint="read one of them: ASSET[KEY]"
        ) from error


def plain_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield rows of what JSON can hold: NaN is null, times are ISO 8601 in UTC, to microseconds."""
    readable = _readable(table)
    for batch in readable.to_batches(max_chunksize=_ROWS):
        columns = [column.to_pylist() for column in batch.columns]
        for values in zip(*columns, strict=True):
            yield {
                name: plain(value)
                for name, value in zip(readable.column_names, values, strict=True)
            }


def plain(value: Any) -> Any:
    """Make a value of what JSON can hold."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            # JSON has no word for what is not finite.
            return value if math.isfinite(value) else None if math.isnan(value) else str(value)
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return _word(value)


def _word(value: Any) -> Any:
    """Write what has no like in JSON."""
    match value:
        case datetime():
            return _moment(value)
        case time():
            return value.isoformat(timespec="microseconds")
        case timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case _:  # dates, decimals
            return str(value)


def _moment(value: datetime) -> str:
    if value.tzinfo is None:  # no zone was given to it: it gets none
        return value.isoformat(timespec="microseconds")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write_csv(table: pa.Table, file: IO[bytes]) -> None:
    """Write CSV: nulls and NaN are empty fields, nested values are JSON."""
    flat = _readable(table)
    for i, column in enumerate(flat.schema):
        kind = column.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_duration(kind):
            values = [None if v is None else _text(plain(v)) for v in flat[i].to_pylist()]
            flat = flat.set_column(i, column.name, pa.array(values, pa.string()))
        elif pa.types.is_floating(kind):
            known = pc.if_else(pc.is_nan(flat[i]), pa.scalar(None, kind), flat[i])
            flat = flat.set_column(i, column.name, known)
        elif pa.types.is_timestamp(kind):
            values = [None if v is None else _moment(v) for v in flat[i].to_pylist()]
            flat = flat.set_column(i, column.name, pa.array(values, pa.string()))
    pyarrow.csv.write_csv(flat, file)


def write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    """Write Parquet."""
    pq.write_table(table, file)


def _text(value: Any) -> str:
    # Lazy: few tables have nested columns.
    import json  # noqa: PLC0415

    return value if isinstance(value, str) else json.dumps(value)


def _readable(table: pa.Table) -> pa.Table:
    """Cast what Python's own types cannot hold: nanoseconds to microseconds, codes to values."""
    wanted = pa.schema([pa.field(f.name, _plain_type(f.type)) for f in table.schema])
    return table.cast(wanted, safe=False) if wanted != table.schema else table


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind):
        return pa.duration("us")
    if pa.types.is_time(kind):
        return pa.time64("us")
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct([pa.field(f.name, _plain_type(f.type)) for f in fields])
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain_type(kind.value_type))
    if pa.types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    return kind
