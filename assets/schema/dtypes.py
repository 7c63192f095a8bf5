"""Canonical names of types: the same for pandas and polars, as Arrow says them.

bool, int8 .. uint64, float16 .. float64, string, binary, date, time[unit], timestamp[unit],
timestamp[unit, zone] (zone `*`: any), duration[unit], decimal(precision, scale), category,
category["b","a"] (followed by ` ordered`), list<...>, struct<name: ...>, null, object; "" is any.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandera import dtypes as pandera_dtypes


def canonical(dtype: Any, library: str) -> str:
    """Name a pandera dtype; a type without a canonical name is named as pandera prints it."""
    if dtype is None:
        return ""
    return _polars(dtype.type) if library == "polars" else _pandas(dtype)


def native(dtype: Any) -> Any:
    """Get the pandas or polars type of a pandera dtype."""
    return None if dtype is None else dtype.type


def _pandas(dtype: Any) -> str:
    kind: Any = dtype.type
    if isinstance(dtype, pandera_dtypes.Decimal):
        return f"decimal({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pandera_dtypes.Date) and not isinstance(dtype, pandera_dtypes.Timestamp):
        return "date"
    if getattr(dtype, "time_zone_agnostic", False):
        return f"timestamp[{getattr(dtype, 'unit', 'ns')}, *]"
    if isinstance(kind, pd.DatetimeTZDtype):
        return f"timestamp[{kind.unit}, {kind.tz}]"
    if isinstance(kind, pd.CategoricalDtype):
        listed: Any = kind.categories
        return category(None if listed is None else list(listed), kind.ordered)
    if isinstance(kind, pd.StringDtype):
        return "string"
    if isinstance(kind, pd.ArrowDtype):
        return of_arrow(kind.pyarrow_dtype)
    if isinstance(kind, np.dtype):
        return _numpy(kind)
    name = str(kind)
    if name in _MASKED:
        return _MASKED[name]
    return name


def _numpy(kind: "np.dtype[Any]") -> str:
    match kind.kind:
        case "M":
            return f"timestamp[{np.datetime_data(kind)[0]}]"
        case "m":
            return f"duration[{np.datetime_data(kind)[0]}]"
        case "U":
            return "string"
        case "S":
            return "binary"
        case "O":
            return "object"
        case _:
            return kind.name


_MASKED = {
    **{
        f"{sign}Int{bits}": f"{sign.lower()}int{bits}"
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
    "boolean": "bool",
    "Float32": "float32",
    "Float64": "float64",
}


def category(categories: Sequence[Any] | None, ordered: bool | None) -> str:
    """Name a categorical type with its categories, where they are declared."""
    if categories is None:
        return "category"
    listed = json.dumps(categories, separators=(",", ":"), ensure_ascii=False, default=str)
    return f"category{listed}" + (" ordered" if ordered else "")


def of_arrow(kind: pa.DataType) -> str:
    """Name an Arrow type."""
    for holds, name in _ARROW:
        if holds(kind):
            return name(kind)
    return str(kind)


_types = pa.types
_ARROW: tuple[tuple[Callable[[Any], bool], Callable[[Any], str]], ...] = (
    (_types.is_boolean, lambda _: "bool"),
    (_types.is_floating, lambda kind: f"float{kind.bit_width}"),
    (_types.is_string, lambda _: "string"),
    (_types.is_large_string, lambda _: "string"),
    (_types.is_string_view, lambda _: "string"),
    (_types.is_binary, lambda _: "binary"),
    (_types.is_large_binary, lambda _: "binary"),
    (_types.is_binary_view, lambda _: "binary"),
    (
        _types.is_timestamp,
        lambda kind: f"timestamp[{kind.unit}" + (f", {kind.tz}]" if kind.tz else "]"),
    ),
    (_types.is_duration, lambda kind: f"duration[{kind.unit}]"),
    (_types.is_time, lambda kind: f"time[{kind.unit}]"),
    (_types.is_date, lambda _: "date"),
    (_types.is_decimal, lambda kind: f"decimal({kind.precision}, {kind.scale})"),
    (_types.is_dictionary, lambda _: "category"),
    (_types.is_list, lambda kind: f"list<{of_arrow(kind.value_type)}>"),
    (_types.is_large_list, lambda kind: f"list<{of_arrow(kind.value_type)}>"),
    (_types.is_fixed_size_list, lambda kind: f"list<{of_arrow(kind.value_type)}>"),
    (
        _types.is_struct,
        lambda kind: (
            f"struct<{', '.join(f'{field.name}: {of_arrow(field.type)}' for field in kind)}>"
        ),
    ),
)


_POLARS = {
    "Boolean": "bool",
    "String": "string",
    "Categorical": "category",
    "Time": "time[ns]",
    **{
        name: name.lower()
        for name in ("Binary", "Date", "Null", "Object", "Float32", "Float64", "Int128")
    },
    **{
        f"{sign}{bits}": f"{sign.lower()}{bits}"
        for sign in ("Int", "UInt")
        for bits in (8, 16, 32, 64)
    },
}


def _polars(kind: Any) -> str:
    """By the names of the types: their attributes are all that is needed."""
    name = kind.__name__ if isinstance(kind, type) else type(kind).__name__
    if name in _POLARS:
        return _POLARS[name]
    if isinstance(kind, type):
        return {"Datetime": "timestamp[us]", "Duration": "duration[us]"}.get(name, name.lower())
    match name:
        case "Datetime":
            zone = f", {kind.time_zone}" if kind.time_zone else ""
            return f"timestamp[{kind.time_unit}{zone}]"
        case "Duration":
            return f"duration[{kind.time_unit}]"
        case "Decimal":
            return f"decimal({kind.precision or 38}, {kind.scale})"
        case "Enum":
            return category(kind.categories.to_list(), ordered=True)
        case "List" | "Array":
            return f"list<{_polars(kind.inner)}>"
        case "Struct":
            fields = (f"{field.name}: {_polars(field.dtype)}" for field in kind.fields)
            return "struct<" + ", ".join(fields) + ">"
        case _:
            return str(kind)
