"""A table made ready for a schema: in the representation that the schema declares.

Nothing is converted here that a value could lose by: a table says `int64`, the schema says whether
pandas is to hold that as `int64` or `Int64`, text as `str`, `string` or category. What does not fit
is left as it is, for the schema to find.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from afresh.assets.marks import (
    CATEGORIES,
    TEXT,
    Marks,
    default_dtype,
    dtype_mark,
    encode_categories,
)
from afresh.assets.schema.dtypes import native
from afresh.assets.schema.live import Live


def arranged(table: pa.Table, found: Live) -> pa.Table:
    """Mark, and where needed encode, the columns as a pandas schema declares them."""
    if found.library != "pandas":
        return table
    marks = Marks.of(table)
    before = (dict(marks.dtypes), dict(marks.categories))
    for name, dtype in _typed(found.plain, table.column_names):
        if isinstance(dtype, pd.CategoricalDtype):
            table = _categorical(table, marks, name, dtype)
            continue
        if isinstance(dtype, np.dtype) and dtype.kind == "M":
            table = _in_unit(table, name, dtype)
        _mark(table.schema.field(name).type, marks, name, dtype)
    return table if (marks.dtypes, marks.categories) == before else marks.on(table)


def fitted(frame: Any, found: Live) -> Any:
    """Give polars columns types that a table does not tell apart: Enum, Categorical, Decimal."""
    import polars as pl  # noqa: PLC0415 - optional, and slow to import

    text = (pl.String, pl.Categorical, pl.Enum)
    for name, dtype in _typed(found.plain, frame.columns):
        held = frame.schema[name]
        if dtype == held:
            continue
        recoded = dtype in (pl.Categorical, pl.Enum) and held in text
        if recoded or (dtype == pl.Decimal and held == pl.Decimal and dtype.scale == held.scale):
            try:
                frame = frame.with_columns(pl.col(name).cast(dtype))
            except pl.exceptions.PolarsError:
                continue  # a value that is no category: the schema finds the column's type wrong
    return frame


def _typed(schema: Any, names: list[str]) -> Iterator[tuple[str, Any]]:
    for declared, column in schema.columns.items():
        dtype = schema.dtype or column.dtype
        if dtype is None:
            continue
        if column.regex:
            yield from ((name, native(dtype)) for name in names if re.match(declared, name))
        elif declared in names:
            yield declared, native(dtype)


def _in_unit(table: pa.Table, name: str, dtype: "np.dtype[Any]") -> pa.Table:
    """Give times without a zone the declared unit, as text is read: pandera takes any."""
    place = table.column_names.index(name)
    kind = table.schema.field(place).type
    unit = np.datetime_data(dtype)[0]
    if not pa.types.is_timestamp(kind) or kind.tz or kind.unit == unit:
        return table
    try:
        column = table.column(place).cast(pa.timestamp(unit))
    except pa.ArrowInvalid:
        return table  # times beyond those of the declared unit stay what they are
    return table.set_column(place, table.schema.field(place).with_type(column.type), column)


def _mark(kind: pa.DataType, marks: Marks, name: str, dtype: Any) -> None:
    mark, default = dtype_mark(dtype), default_dtype(kind)
    if mark == default:
        marks.dtypes.pop(name, None)
        marks.categories.pop(name, None)
    elif (
        (mark.partition(",")[0] in ("str", "string") and default == TEXT)
        or (mark in _MASKED and mark.lower().replace("boolean", "bool") == default)
        or (mark == "arrow" and dtype.pyarrow_dtype == kind)
        or (mark == "object" and _plain_object(dtype) and default == TEXT)
    ):
        marks.dtypes[name] = mark


_MASKED = {
    *("boolean", "Float32", "Float64"),
    *(f"{sign}nt{bits}" for sign in ("I", "UI") for bits in (8, 16, 32, 64)),
}


def _plain_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype)


def _categorical(table: pa.Table, marks: Marks, name: str, dtype: pd.CategoricalDtype) -> pa.Table:
    column = table.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if dtype.categories is None:
        made = name in marks.categories and marks.dtypes.get(name) in CATEGORIES
        if made or not (default_dtype(kind) == TEXT or pa.types.is_integer(kind)):
            return table
        values = column.cast(kind)
        # As pandas would: sorted, so that the order in which they came is not content.
        listed = pc.unique(values).drop_null().sort()
    else:
        listed = pa.array(dtype.categories, from_pandas=True)
        if default_dtype(kind) != default_dtype(listed.type):
            return table
        values = column.cast(listed.type)
    codes = pc.index_in(values, value_set=listed)
    if codes.null_count != values.null_count:
        return table
    ordered = bool(dtype.ordered)
    marks.dtypes[name] = "ordered category" if ordered else "category"
    marks.categories[name] = encode_categories(name, listed.to_pandas())
    encoded = pa.dictionary(pa.int32(), listed.type, ordered=ordered)
    pieces = codes.chunks or [pa.array([], pa.int32())]
    chunks = [pa.DictionaryArray.from_arrays(each, listed, ordered=ordered) for each in pieces]
    place = table.column_names.index(name)
    return table.set_column(place, pa.field(name, encoded), pa.chunked_array(chunks, encoded))
