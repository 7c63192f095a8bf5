"""Columns that pandas would not make by itself as they were, or only with a loss."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from afresh.assets.marks import CATEGORIES, TEXT, Marks, decode_categories, default_dtype

_NULLABLE = {
    **{f"int{bits}": f"Int{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UInt{bits}" for bits in (8, 16, 32, 64)},
    "bool": "boolean",
    "float": "Float32",
    "double": "Float64",
}
_TEXTS = ("str", "string", "str,python", "string,python")


def special_series(column: pa.ChunkedArray, marks: Marks, name: str) -> Any:
    """Make the series of a column that pandas would not make so by itself; else None."""
    kind = column.type
    if pa.types.is_run_end_encoded(kind):
        column = pa.chunked_array(
            [pc.run_end_decode(chunk) for chunk in column.chunks], kind.value_type
        )
        series = special_series(column, marks, name)
        return column.to_pandas() if series is None else series
    mark = marks.dtypes.get(name)
    if mark is not None:
        series = _marked(column, mark, marks.categories.get(name))
        if series is not None:
            return series
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return _extension(column, _NULLABLE[str(kind)])
    if pa.types.is_nested(kind):  # else integers beside a null would become floats in there
        return pd.Series(column.to_pylist(), dtype=object)
    return None


def _extension(column: pa.ChunkedArray, dtype: Any) -> Any:
    made: Any = pd.api.types.pandas_dtype(dtype)
    return pd.Series(made.__from_arrow__(column), dtype=made)


def _marked(column: pa.ChunkedArray, mark: str, categories: str | None) -> Any:
    """Make the marked series, or None where the column is no longer what was marked."""
    kind = column.type
    if mark in CATEGORIES:
        return _categorical(column, categories, ordered=mark == "ordered category")
    if mark == "object":
        return pd.Series(column.to_pylist(), dtype=object)
    if mark == "arrow":
        return _extension(column, pd.ArrowDtype(kind))
    if default_dtype(kind) == TEXT and mark in _TEXTS:
        text, _, storage = mark.partition(",")
        na_value = pd.NA if text == "string" else float("nan")
        return _extension(column, pd.StringDtype(storage or "pyarrow", na_value=na_value))
    if mark == _NULLABLE.get(str(kind)):
        return _extension(column, mark)
    return None


def _categorical(column: pa.ChunkedArray, categories: str | None, *, ordered: bool) -> Any:
    """Make a categorical with its categories in their order, whatever was stored of them."""
    if categories is None:
        return None
    listed = decode_categories(categories)
    codes = _codes(column, listed)
    if codes is None:
        return None
    return pd.Series(
        pd.Categorical.from_codes(
            codes.fill_null(-1).to_numpy(),
            pd.Index(listed.to_pandas().array),
            ordered=ordered,
        )
    )


def _codes(column: pa.ChunkedArray, listed: pa.Array) -> pa.ChunkedArray | None:
    """Give each value's place in the list, or None where one is not in it."""
    if pa.types.is_dictionary(column.type):
        if column.type.value_type == listed.type and all(
            chunk.dictionary.equals(listed) for chunk in column.chunks
        ):
            indices = [chunk.indices for chunk in column.chunks]
            return pa.chunked_array(indices, column.type.index_type)
        column = pa.chunked_array(
            [chunk.dictionary_decode() for chunk in column.chunks], column.type.value_type
        )
    try:
        codes = pc.index_in(column.cast(listed.type), value_set=listed)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return codes if codes.null_count == column.null_count else None
