"""Frames to Arrow tables and back, without loss.

What Arrow cannot say of a pandas column is kept beside it, in the table's metadata under `afresh`:
nullable and text dtypes, object columns, the categories in their order. The metadata under
`pandas` says the same to other readers, as far as they understand it. A table without it gives
the dtype that pandas itself would give, but for two: integers and booleans with nulls become
`Int64` and `boolean` (of their width), never floats or objects, and lists become lists.

pandas has one missing value in a float column: NaN and null are null in the table.
"""

from collections import Counter
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from afresh.assets.errors import InvalidData
from afresh.assets.manifest import Given
from afresh.assets.marks import (
    CATEGORIES,
    Marks,
    decode_categories,
    default_dtype,
    dtype_mark,
    encode_categories,
)
from afresh.assets.series import special_series

# polars is optional, and a project without it must not need it: it is imported where it is used.

_REFUSED = ("Int128", "UInt128", "Object")
_SINGLE = {
    *("string", "bytes", "datetime", "datetime64", "decimal", "boolean", "integer", "floating"),
    *("time", "timedelta", "timedelta64", "empty"),
}


def library_of(frame: object) -> str:
    """Name what a frame is: "pandas", "polars", "polars_lazy", "pyarrow", or "" for no frame."""
    if isinstance(frame, pa.Table):
        return "pyarrow"
    if isinstance(frame, pd.DataFrame):
        return "pandas"
    if type(frame).__module__.partition(".")[0] == "polars":
        return {"DataFrame": "polars", "LazyFrame": "polars_lazy"}.get(type(frame).__name__, "")
    return ""


def to_table(frame: object) -> pa.Table:
    """Make the table that says all that a frame says; a lazy frame is collected.

    Row numbers are no data: an integer index without a name, as a filter, a sort or a concat leaves
    it, is left out. Raises InvalidData for what cannot be kept: any other index, column names
    that are not distinct strings, columns of mixed types or of types that Arrow does not have.
    """
    match library_of(frame):
        case "pandas":
            return _from_pandas(frame)
        case "polars":
            return _from_polars(frame)
        case "polars_lazy":
            return _from_polars(frame.collect())  # type: ignore[attr-defined]
        case "pyarrow":
            return _from_pyarrow(frame)
        case _:
            raise InvalidData(
                f"Expected a frame, found {_kind(frame)}",
                hint="return a pandas or polars frame, or a pyarrow.Table",
            )


def to_given(table: pa.Table, given: Given) -> Any:
    """Make the frame that a function asked for. Raises InvalidData for what it cannot hold."""
    if given == "pyarrow":
        return table
    if given == "pandas":
        return _to_pandas(table)
    if given in ("polars", "polars_lazy"):
        frame = _to_polars(table)
        return frame.lazy() if given == "polars_lazy" else frame
    raise InvalidData(f"Expected a frame to be asked for, found {given!r}")


def _kind(value: object) -> str:
    kind = type(value)
    return "None" if value is None else f"{kind.__module__}.{kind.__qualname__}"


def _check_distinct(names: list[str]) -> None:
    if len(set(names)) < len(names):
        ((most, count),) = Counter(names).most_common(1)
        raise InvalidData(
            f"Expected distinct column names, found {most!r} {count} times",
            hint="rename one of them",
        )


# pandas


def _from_pandas(frame: Any) -> pa.Table:
    _check_labels(frame)
    marks = Marks()
    arrays = []
    for name, series in frame.items():
        array = _array(name, series)
        arrays.append(array)
        mark = dtype_mark(series.dtype)
        if mark != default_dtype(array.type) or series.dtype == "category":
            marks.dtypes[name] = mark
        if series.dtype == "category":
            marks.categories[name] = encode_categories(name, series.cat.categories)
    if not arrays and len(frame):
        raise InvalidData(f"Expected columns, found {len(frame)} rows without any")
    return marks.on(pa.Table.from_arrays(arrays, names=list(frame.columns)))


def _check_labels(frame: Any) -> None:
    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str) or not _is_utf8(name):
            raise InvalidData(
                f"Expected column names that are strings, found {name!r}",
                hint="set frame.columns, or name the columns where the frame is made",
            )
    _check_distinct(names)
    index = frame.index
    numbers = index.nlevels == 1 and (index.dtype.kind in "iu" or not len(index))
    if not numbers or index.name is not None:
        named = ", ".join(repr(name) for name in index.names if name is not None)
        raise InvalidData(
            "Expected an index of row numbers, found "
            + (f"one named {named}" if named else f"{type(index).__name__} ({index.dtype})"),
            hint="return frame.reset_index() to keep it as a column, "
            "frame.reset_index(drop=True) to leave it out",
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _array(name: str, series: Any) -> pa.Array | pa.ChunkedArray:
    dtype = series.dtype
    if isinstance(dtype, (pd.SparseDtype, pd.PeriodDtype, pd.IntervalDtype)):
        raise _unkept(name, str(dtype))
    if dtype.kind == "O" and dtype == "object":
        _check_one_type(name, series)
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise _unkept(name, str(dtype), str(error).partition("\n")[0]) from error


def _check_one_type(name: str, series: Any) -> None:
    """Arrow would bend a mixture into one type: an hour off a datetime among dates, 1 into 1.0."""
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    if inferred in _SINGLE:
        return
    kinds = {type(value).__name__ for value in series[series.notna()]}
    # pandas says "date" of dates and datetimes as well, and "mixed" of lists and dicts.
    if kinds in ({"date"}, {"dict"}) or (kinds and kinds <= {"list", "tuple", "ndarray"}):
        return
    if len(kinds) == 1:
        raise _unkept(name, kinds.pop())
    raise InvalidData(
        f"Expected one type in column {name!r}, found {', '.join(sorted(kinds)) or inferred}",
        hint="convert the column, for example with astype(str)",
    )


def _unkept(name: str, dtype: str, detail: str = "") -> InvalidData:
    return InvalidData(
        f"Expected a column that can be stored, found {dtype} in {name!r}"
        + (f": {detail}" if detail else ""),
        hint="convert the column, for example to strings or timestamps",
    )


def _to_pandas(table: pa.Table) -> Any:
    marks = Marks.of(table)
    special: list[tuple[int, str, Any]] = []
    for place, field in enumerate(table.schema):
        series = special_series(table.column(place), marks, field.name)
        if series is not None:
            special.append((place, field.name, series))
    plain = table.drop_columns([name for _, name, _ in special]) if special else table
    # Threads cost more than they bring for the small tables that are most of them.
    threads = table.nbytes > 4 * 2**20
    frame = plain.to_pandas(ignore_metadata=True, use_threads=threads)
    if special and not plain.num_columns:
        frame = pd.DataFrame(index=pd.RangeIndex(table.num_rows))
    for place, name, series in special:
        frame.insert(place, name, series)
    return frame


# polars


def _from_polars(frame: Any) -> pa.Table:
    for name, dtype in frame.schema.items():
        if str(dtype) in _REFUSED:
            raise _unkept(name, f"polars {dtype}")
    try:
        return frame.to_arrow()
    except pa.ArrowException as error:
        types = ", ".join(f"{name!r}: {dtype}" for name, dtype in frame.schema.items())
        raise InvalidData(
            f"Expected columns that can be stored, found {types}: {error}",
            hint="convert the column, for example to strings",
        ) from error


def _to_polars(table: pa.Table) -> Any:
    import polars as pl  # noqa: PLC0415 - optional, and slow to import

    marks = Marks.of(table)
    refusals = (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError)
    try:
        frame = pl.from_arrow(table)
    except (pa.ArrowException, *refusals) as error:
        types = ", ".join(f"{field.name!r}: {field.type}" for field in table.schema)
        raise InvalidData(
            f"Expected columns that polars can hold, found {types}: {error}",
            hint="ask for a pyarrow.Table, or convert the column",
        ) from error
    if isinstance(frame, pl.Series):  # what polars makes of a table without columns
        return pl.DataFrame()
    if frame.columns != table.column_names:  # it gives a column without a name one
        frame.columns = table.column_names
    enums = {}
    for name, text in marks.categories.items():
        if name in frame.columns and frame.schema[name] == pl.Categorical:
            listed = decode_categories(text)
            if pa.types.is_large_string(listed.type) or pa.types.is_string(listed.type):
                enums[name] = pl.Enum(listed.to_pylist())
    return frame.cast(enums) if enums else frame  # type: ignore[arg-type]


# pyarrow


def _from_pyarrow(table: Any) -> pa.Table:
    marks = Marks.of(table)
    names = table.column_names
    _check_distinct(names)
    for place, field in enumerate(table.schema):
        plain = _plain_type(field, marks)
        if plain != field.type:
            # Only a way to store values: schemas and readers see those, as storage keeps them.
            column = _decoded(table.column(place)).cast(plain)
            table = table.set_column(place, field.with_type(plain), column)
    return marks.of_columns(set(names)).on(table)


def _plain_type(field: pa.Field, marks: Marks) -> pa.DataType:
    """Give the type of the values behind an encoding; categoricals are types of their own."""
    types, kind = pa.types, field.type
    if types.is_dictionary(kind):
        polars = any(key.startswith(b"_PL_") for key in field.metadata or {})
        if polars or kind.ordered or marks.dtypes.get(field.name) in CATEGORIES:
            return kind
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        kind = kind.value_type
    if types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if types.is_binary_view(kind) else kind


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if not pa.types.is_run_end_encoded(kind):
        return column
    return pa.chunked_array([pc.run_end_decode(chunk) for chunk in column.chunks], kind.value_type)
