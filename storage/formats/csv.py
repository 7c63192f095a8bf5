"""CSV. Nulls are the empty field unless told otherwise; `""` is empty text, `NA` is a text.

An empty line is no row: a null in a file of one column cannot be written.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

import pyarrow as pa
import pyarrow.csv as pc

from afresh.assets.errors import UnreadableData, UsageError
from afresh.storage.formats.base import (
    Options,
    arrow_types,
    check_names,
    shown,
    unreadable,
)
from afresh.storage.formats.floats import check_floats
from afresh.storage.formats.text import as_utf8, check_utf8

MAX_COLUMNS = 10_000
"""A table of more columns costs seconds in everything that handles it; `max_columns` lifts it."""
_LARGEST_BLOCK = 1 << 30
_THREADS_BYTES = 4 << 20

_RAGGED = re.compile(r"CSV parse error: (?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")
_CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?(.*)", re.DOTALL)
_INVALID = re.compile(r"CSV conversion error to (.+?): invalid value '(.*)'$", re.DOTALL)


class Csv:
    """Text in rows. Options: delimiter, quote, encoding, nulls (`NA|null`), header, max_columns.

    And `empty`: whether a header alone is a table without rows, or what was cut off.
    """

    name = "csv"
    suffixes = (".csv", ".tsv")
    text = True
    options = frozenset(
        {"delimiter", "quote", "encoding", "nulls", "header", "max_columns", "empty"}
    )

    def read(self, data: bytes, types: Mapping[str, str], options: Options) -> pa.Table:
        """Decode all of it (see `Format`)."""
        data = as_utf8(data, options)
        wanted = arrow_types(types)
        parse = _parse_options(options)
        header = options.get("header") not in (False, 0)
        data = _check_shape(data, parse, options)
        if len(data) >= _LARGEST_BLOCK and not wanted:
            raise unreadable(
                "Expected at most 1 GiB of text without a schema",
                hint="declare a schema: types cannot be inferred over so much",
            )
        reading = _Reading(data, parse, _convert_options(wanted, options), header, list(wanted))
        table = reading.table()
        check_names(table.column_names)
        for field in table.schema:
            if pa.types.is_binary(field.type) and field.name not in wanted:
                check_utf8(data)  # what is no text is inferred as binary
        table = _halves(table, wanted)
        check_floats(table, data, reading.texts)
        if not table.num_rows and not options.get("empty"):
            raise unreadable(
                "Expected rows, found a header only",
                hint='say options={"empty": True} if a file without rows is complete',
            )
        return table

    def lines(self, data: bytes, rows: Collection[int], options: Options) -> dict[int, int]:
        """Find the lines that rows begin in (see `Format`)."""
        header = options.get("header") not in (False, 0)
        found: dict[int, int] = {}
        reader = _rows(as_utf8(data, options), _parse_options(options))
        row, end = -1 if header else 0, 0
        with suppress(csv.Error):
            for record in reader:
                begin, end = end + 1, reader.line_num
                row += bool(record)
                if record and row in rows:
                    found[row] = begin
                    if len(found) == len(rows):
                        break
        return found


class _Reading:
    """One file with its options; a failed reading is repeated to find the row."""

    def __init__(
        self,
        data: bytes,
        parse: pc.ParseOptions,
        convert: pc.ConvertOptions,
        header: bool,
        names: list[str],
    ) -> None:
        self.data, self.parse, self.convert = data, parse, convert
        self.header, self.names = header, names

    def table(self) -> pa.Table:
        threads = len(self.data) > _THREADS_BYTES
        try:
            try:
                return self._read(threads=threads)
            except pa.ArrowInvalid:
                if not threads:
                    raise
                return self._read(threads=False)  # only this one knows the row
        except UnicodeDecodeError:
            check_utf8(self.data)
            raise
        except pa.ArrowInvalid as error:
            raise self._explained(str(error)) from error
        except pa.ArrowNotImplementedError as error:
            raise UsageError(
                f"Expected types that CSV has a form for, found: {error}",
                hint="declare the column as text and convert it in an asset",
            ) from error

    def texts(self, name: str) -> list[str | None]:
        """Give a column as it is written."""
        self.convert = pc.ConvertOptions(
            include_columns=[name],
            column_types={name: pa.string()},
            null_values=self.convert.null_values,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        texts: list[str | None] = self.table().column(name).to_pylist()
        return texts

    def _read(self, *, threads: bool) -> pa.Table:
        # One block: types are inferred over all rows, and no row is cut in two.
        block = min(len(self.data) + 1, _LARGEST_BLOCK)
        reading = pc.ReadOptions(use_threads=threads, block_size=block)
        if not self.header:
            if self.names:
                reading.column_names = self.names
            else:
                reading.autogenerate_column_names = True
        table = pc.read_csv(
            pa.BufferReader(self.data),
            read_options=reading,
            parse_options=self.parse,
            convert_options=self.convert,
        )
        table.column_names  # noqa: B018 - raises for a header that is not UTF-8
        return table

    def _explained(self, message: str) -> UnreadableData:
        if found := _RAGGED.match(message):
            row, expected, got = found.groups()
            return unreadable(
                f"Expected {expected} columns, found {got}",
                row=self._row(row),
                hint="quote fields that hold the delimiter" if int(got) > int(expected) else "",
            )
        if found := _CONVERSION.match(message):
            column, row, detail = found.groups()
            if "invalid UTF8" in detail:
                check_utf8(self.data)
            name = self._column_name(int(column))
            value = _INVALID.match(detail)
            said = (
                f"Expected {value[1]}, found {shown(value[2])}"
                if value
                else f"Expected {self.convert.column_types.get(name, 'another value')}, "
                f"found: {detail.removeprefix('CSV conversion error to ')}"
            )
            return unreadable(said, row=self._row(row), column=name)
        return unreadable(f"Expected CSV, found: {message}")

    def _row(self, record: str | None) -> int | None:
        """Give the row of a record, which the header is one of."""
        return int(record) - self.header or None if record else None

    def _column_name(self, place: int) -> str:
        if not self.header:
            return self.names[place] if place < len(self.names) else f"f{place}"
        names = next(_rows(self.data, self.parse), list[str]())
        return names[place] if place < len(names) else f"#{place + 1}"


def _parse_options(options: Options) -> pc.ParseOptions:
    delimiter = options.get("delimiter")
    quote = options.get("quote", '"')
    for name, value in (("delimiter", delimiter), ("quote", quote)):
        if value not in (None, False, "") and (
            not isinstance(value, str) or len(value) != 1 or not value.isascii()
        ):
            raise UsageError(f"Expected one ASCII character as {name}, found {value!r}")
    return pc.ParseOptions(
        delimiter=delimiter or ",", quote_char=quote or False, newlines_in_values=True
    )


def _convert_options(types: dict[str, pa.DataType], options: Options) -> pc.ConvertOptions:
    nulls = options.get("nulls")
    return pc.ConvertOptions(
        column_types={
            name: pa.float32() if kind == pa.float16() else kind for name, kind in types.items()
        },
        null_values=[""] if nulls is None else str(nulls).split("|"),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )


def _check_shape(data: bytes, parse: pc.ParseOptions, options: Options) -> bytes:
    """Refuse what the parser would misread; end a header alone with the newline that it needs."""
    if not data.strip(b"\r\n"):
        raise unreadable(
            "Expected a header, found an empty file"
            if not data
            else "Expected a header, found only empty lines"
        )
    most = options.get("max_columns") or MAX_COLUMNS
    ends = [end for end in (data.find(b"\n"), data.find(b"\r")) if end >= 0]
    first = data.count(parse.delimiter.encode(), 0, min(ends, default=len(data))) + 1
    if first > int(most):
        raise unreadable(
            f"Expected at most {most} columns, found {first}",
            hint='say options={"max_columns": ...}, or turn columns into rows',
        )
    if parse.quote_char and data.count(parse.quote_char.encode()) % 2:
        _check_quotes(data, parse)
    return data if ends else data + b"\n"


def _check_quotes(data: bytes, parse: pc.ParseOptions) -> None:
    """Raise where a quoted field never ends: the parser would swallow the rest of the file."""
    rows, last = _rows(data, parse), 1
    try:
        for _ in rows:
            last = rows.line_num + 1
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise unreadable(
                "Expected the closing quote of a field, found the end of the file",
                line=last,
                hint="the file is cut off, or a quote is not doubled",
            ) from error


class _Rows(Protocol):
    """What the standard library reads; it knows the line that it is at."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


def _rows(data: bytes, parse: pc.ParseOptions) -> _Rows:
    csv.field_size_limit(max(len(data), 1 << 17))
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="replace", newline="")
    if not parse.quote_char:
        return csv.reader(text, delimiter=parse.delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(text, delimiter=parse.delimiter, quotechar=parse.quote_char, strict=True)


def _halves(table: pa.Table, types: dict[str, pa.DataType]) -> pa.Table:
    """Half floats were read as floats, which CSV has."""
    for place, field in enumerate(table.schema):
        if types.get(field.name) == pa.float16():
            half = field.with_type(pa.float16())
            table = table.set_column(place, half, table.column(place).cast(pa.float16()))
    return table
