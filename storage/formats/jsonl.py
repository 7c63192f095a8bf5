"""JSON Lines: one object a line. What a line leaves out is null."""

import json
import re
from collections.abc import Collection, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from afresh.assets.errors import UnreadableData, UsageError
from afresh.storage.formats.base import Options, arrow_types, check_names, shown, unreadable
from afresh.storage.formats.floats import check_floats
from afresh.storage.formats.json_text import refuse_deep, refuse_nulls
from afresh.storage.formats.text import as_utf8, check_utf8

_LARGEST_BLOCK = 1 << 30
_THREADS_BYTES = 4 << 20

_CHANGED = re.compile(
    r"JSON parse error: Column\(/?(.*)\) changed from (\S+) to (\S+) in row (\d+)"
)
_TWICE = re.compile(r"JSON parse error: Column\(/?(.*)\) was specified twice in row (\d+)")
_BROKEN = re.compile(r"JSON parse error: (.*?)\.? in row (\d+)")
_NULL_FIRST = re.compile(rb"\s*null")


class JsonLines:
    """One JSON object a line. Options: encoding."""

    name = "jsonl"
    suffixes = (".jsonl", ".ndjson", ".jsonlines")
    text = True
    options = frozenset({"encoding"})

    def read(self, data: bytes, types: Mapping[str, str], options: Options) -> pa.Table:
        """Decode all of it (see `Format`). Without a line there are no rows."""
        data = as_utf8(data, options)
        check_utf8(data)
        wanted = arrow_types(types)
        if not data.strip():
            if not wanted:
                raise unreadable(
                    "Expected JSON objects, found an empty file",
                    hint="with a schema an empty file is a table without rows",
                )
            return pa.schema(list(wanted.items())).empty_table()
        if len(data) >= _LARGEST_BLOCK and not wanted:
            raise unreadable(
                "Expected at most 1 GiB of text without a schema",
                hint="declare a schema: types cannot be inferred over so much",
            )
        return parse(data, wanted, present=True)

    def lines(self, data: bytes, rows: Collection[int], options: Options) -> dict[int, int]:
        """Find the lines that rows are on (see `Format`), as long as each has a line."""
        found: dict[int, int] = {}
        row = 0
        for number, line in enumerate(as_utf8(data, options).split(b"\n"), 1):
            text = line.strip()
            row += bool(text)
            if text and row in rows:
                found[row] = number
            if len(found) == len(rows) or (text and text[:1] + text[-1:] != b"{}"):
                break
        return found


def parse(
    data: bytes,
    wanted: Mapping[str, pa.DataType],
    *,
    others: str = "infer",
    present: bool = False,
    explain: bool = True,
) -> pa.Table:
    """Parse objects in UTF-8, one after the other, at least one.

    `others` says what is done with fields that are not `wanted`: "infer", "ignore" or "error".
    A wanted column that no object has is null, and with `present` left out. Raises as `Format`;
    without `explain` what is wrong is not searched for.
    """
    refuse_deep(data)
    refuse_nulls(data)
    explicit = {name: _read_as(kind) for name, kind in wanted.items()}
    table = _explaining(data, explicit, others, explain=explain)
    texts = {field.name: _texts(field.type) for field in table.schema if field.name not in wanted}
    texts = {name: kind for name, kind in texts.items() if table.field(name).type != kind}
    if texts:  # text that looks like a time is text
        table = _explaining(data, explicit | texts, others, explain=explain)
    check_names(table.column_names)
    table = _cast(_present(table, data, wanted) if present else table, wanted)
    check_floats(table, data, lambda name: _texts_of(data, name))
    return table


def _read(data: bytes, types: Mapping[str, pa.DataType], *, others: str = "infer") -> pa.Table:
    if _NULL_FIRST.match(data):
        # The parser would take the process with it (pyarrow 26: a null reference).
        raise pa.ArrowInvalid("JSON parse error: Column() changed from object to null in row 0")
    return pj.read_json(
        pa.BufferReader(data),
        read_options=pj.ReadOptions(
            use_threads=len(data) > _THREADS_BYTES, block_size=min(len(data) + 1, _LARGEST_BLOCK)
        ),
        parse_options=pj.ParseOptions(
            explicit_schema=pa.schema(list(types.items())) if types else None,
            unexpected_field_behavior=others,
        ),
    )


def _explaining(
    data: bytes, types: Mapping[str, pa.DataType], others: str, *, explain: bool
) -> pa.Table:
    try:
        return _read(data, types, others=others)
    except pa.ArrowNotImplementedError as error:
        raise UsageError(
            f"Expected types that JSON has a form for, found: {error}",
            hint="declare the column as text and convert it in an asset",
        ) from error
    except pa.ArrowInvalid as error:
        if not explain:
            raise unreadable("Expected JSON of its types, found other") from error
        raise _explained(str(error), data, types) from error


def _explained(message: str, data: bytes, types: Mapping[str, pa.DataType]) -> UnreadableData:
    if found := _CHANGED.match(message):
        column, before, after, row = found.groups()
        if not column:
            return unreadable(
                f"Expected a JSON object, found {_article(after)}",
                row=int(row) + 1,
                hint="JSON Lines is one object a line; a list is no line",
            )
        expected = types.get(column, before)
        return unreadable(
            f"Expected {expected}, found {_article(after)}", row=int(row) + 1, column=column
        )
    if found := _TWICE.match(message):
        return unreadable(
            "Expected each name once, found it twice", row=int(found[2]) + 1, column=found[1]
        )
    if found := _BROKEN.match(message):
        return unreadable(f"Expected JSON, found: {found[1]}", row=int(found[2]) + 1)
    return _searched(data, types) or unreadable(f"Expected JSON, found: {message}")


def _article(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}"


def _searched(data: bytes, types: Mapping[str, pa.DataType]) -> UnreadableData | None:
    """Find the row and column of a value that its type does not hold: the parser does not say."""
    lines = data.splitlines(keepends=True)
    for name, kind in types.items():
        if _reads(lines, name, kind):
            continue
        low, high = 0, len(lines)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _reads(lines[low:middle], name, kind) else (low, middle)
        try:
            value = json.loads(lines[low])[name]
        except (ValueError, KeyError, TypeError):
            return None
        row = sum(1 for line in lines[: low + 1] if line.strip())
        return unreadable(f"Expected {kind}, found {shown(value)}", row=row, column=name)
    return None


def _reads(lines: list[bytes], name: str, kind: pa.DataType) -> bool:
    raw = b"".join(lines)
    if not raw.strip():
        return True
    try:
        _read(raw, {name: kind}, others="ignore")
    except pa.ArrowInvalid:
        return False
    return True


def _present(table: pa.Table, data: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Leave out declared columns that no line has: the parser adds them as nulls."""
    empty = {name for name in types if table.column(name).null_count == table.num_rows}
    if not empty:
        return table
    others = {field.name: field.type for field in table.schema if field.name not in empty}
    there = set(_read(data, others).column_names)
    return table.drop_columns(sorted(empty - there)) if empty - there else table


def _read_as(kind: pa.DataType) -> pa.DataType:
    """Give the type that the parser knows, to be cast to `kind`."""
    types = pa.types
    if types.is_date(kind) or types.is_time(kind):
        return pa.string()
    if types.is_duration(kind):
        return pa.int64()
    return pa.float32() if kind == pa.float16() else kind


def _cast(table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    for place, field in enumerate(table.schema):
        kind = types.get(field.name, field.type)
        if kind == field.type or _drops(field.type, kind):
            continue  # members that nobody declared are left for the schema to find
        column = table.column(place)
        try:
            new = _converted(column, kind)
        except pa.ArrowInvalid as error:
            row, value = _first_uncastable(column, kind)
            raise unreadable(
                f"Expected {kind}, found {shown(value)}", row=row, column=field.name
            ) from error
        table = table.set_column(place, field.with_type(kind), new)
    return table


def _drops(found: pa.DataType, kind: pa.DataType) -> bool:
    """Whether a cast would leave members of a struct out, silently."""
    types = pa.types
    if types.is_struct(found) and types.is_struct(kind):
        known = {field.name: field.type for field in kind}
        return any(f.name not in known or _drops(f.type, known[f.name]) for f in found)
    if types.is_list(found) and types.is_list(kind):
        return _drops(found.value_type, kind.value_type)
    return False


def _converted(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_time(kind):  # there is no cast from text to a time, but from a timestamp
        moments = pc.binary_join_element_wise("1970-01-01", column, " ")
        return moments.cast(pa.timestamp(kind.unit)).cast(kind)
    return column.cast(kind)


def _first_uncastable(column: pa.ChunkedArray, kind: pa.DataType) -> tuple[int, object]:
    for row, value in enumerate(column, 1):
        try:
            _converted(pa.chunked_array([[value.as_py()]], column.type), kind)
        except pa.ArrowInvalid:
            return row, value.as_py()
    return 1, None


def _texts_of(data: bytes, name: str) -> Iterator[str | None]:
    """Give a column of numbers as it is written."""
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
    text, end = data.decode().strip(), 0
    while end < len(text):
        row, end = decoder.raw_decode(text, end)
        yield row.get(name)
        while text[end : end + 1].isspace():
            end += 1


def _texts(kind: pa.DataType) -> pa.DataType:
    """Give an inferred type with text where the parser took text for times."""
    types = pa.types
    if types.is_timestamp(kind):
        return pa.string()
    if types.is_list(kind):
        return pa.list_(_texts(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([field.with_type(_texts(field.type)) for field in kind])
    return kind
