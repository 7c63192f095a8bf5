"""What a table's metadata says beyond Arrow, so that a pandas frame comes back as it was."""

import base64
import json
from collections.abc import Collection
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa

from afresh.assets.errors import InvalidData

MARK = b"afresh"
CATEGORIES = ("category", "ordered category")
_CATEGORIES_LIMIT = 16 * 2**20


class Marks:
    """What a table's metadata says beyond Arrow: the pandas dtypes and categories by column."""

    def __init__(
        self, dtypes: dict[str, str] | None = None, categories: dict[str, str] | None = None
    ) -> None:
        self.dtypes = dtypes or {}
        self.categories = categories or {}

    @classmethod
    def of(cls, table: pa.Table) -> "Marks":
        """Read those of a table; none where there are none, or what only looks like some."""
        raw = (table.schema.metadata or {}).get(MARK)
        if raw is None:
            return cls()
        try:
            return msgspec.json.decode(raw, type=_Said).marks()
        except (msgspec.DecodeError, UnicodeDecodeError):
            return cls()

    def of_columns(self, names: Collection[str]) -> "Marks":
        """Leave those of these columns, of which the categories can be read."""
        read = {n: c for n, c in self.categories.items() if n in names and _decodes(c)}
        dtypes = {
            name: mark
            for name, mark in self.dtypes.items()
            if name in names and (name in read or mark not in CATEGORIES)
        }
        return Marks(dtypes, read)

    def on(self, table: pa.Table) -> pa.Table:
        """Give the table these marks alone, for afresh and for other readers."""
        if not self.dtypes:
            return table.replace_schema_metadata(None)
        own = {"dtypes": self.dtypes, "categories": self.categories}
        columns = [self._described(field) for field in table.schema]
        pandas = {
            "index_columns": [],
            "column_indexes": [],
            "columns": columns,
            "pandas_version": pd.__version__,
        }
        return table.replace_schema_metadata(
            {MARK: json.dumps(own, sort_keys=True), b"pandas": json.dumps(pandas)}
        )

    def _described(self, field: pa.Field) -> dict[str, Any]:
        dtype = self.dtypes.get(field.name, "")
        details: dict[str, Any] | None = None
        numpy_type = dtype or default_dtype(field.type)
        pandas_type = "object"
        if dtype in CATEGORIES and pa.types.is_dictionary(field.type):
            pandas_type = "categorical"
            numpy_type = str(field.type.index_type)
            details = {"num_categories": None, "ordered": field.type.ordered}
        return {
            "name": field.name,
            "field_name": field.name,
            "pandas_type": pandas_type,
            "numpy_type": numpy_type.split(",")[0] if "string" in numpy_type else numpy_type,
            "metadata": details,
        }


class _Said(msgspec.Struct):
    dtypes: dict[str, str] = {}
    categories: dict[str, str] = {}

    def marks(self) -> Marks:
        return Marks(self.dtypes, self.categories)


def encode_categories(name: str, categories: Any) -> str:
    """Write categories as text: Parquet keeps those of strings alone, and not without rows."""
    array = pa.array(categories, from_pandas=True)
    batch = pa.record_batch([array], names=["c"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    text = base64.b64encode(sink.getvalue().to_pybytes()).decode("ascii")
    if len(text) > _CATEGORIES_LIMIT:
        raise InvalidData(
            f"Expected categories of at most 16 MiB, found {len(categories)} in {name!r}",
            hint="use strings: so many categories save nothing",
        )
    return text


def decode_categories(text: str) -> pa.Array:
    """Read them back, in their order."""
    with pa.ipc.open_stream(base64.b64decode(text)) as reader:
        return reader.read_next_batch().column(0)


def _decodes(text: str) -> bool:
    try:
        decode_categories(text)
    except (pa.ArrowException, OSError, ValueError, StopIteration):
        return False
    return True


def dtype_mark(dtype: Any) -> str:
    """Name a pandas dtype so that `series` makes the same one."""
    if isinstance(dtype, pd.StringDtype):
        text = "string" if dtype.na_value is pd.NA else "str"
        return text if dtype.storage == "pyarrow" else f"{text},{dtype.storage}"
    if isinstance(dtype, pd.ArrowDtype):
        return "arrow"
    if isinstance(dtype, pd.CategoricalDtype):
        return "ordered category" if dtype.ordered else "category"
    return str(dtype)


def default_dtype(kind: pa.DataType) -> str:
    """Name the dtype that a column without marks and nulls becomes."""
    types = pa.types
    if types.is_integer(kind) or types.is_boolean(kind):
        return str(kind)
    if types.is_floating(kind):
        return {16: "float16", 32: "float32", 64: "float64"}[kind.bit_width]
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return TEXT
    if types.is_timestamp(kind):
        return f"datetime64[{kind.unit}, {kind.tz}]" if kind.tz else f"datetime64[{kind.unit}]"
    if types.is_duration(kind):
        return f"timedelta64[{kind.unit}]"
    return "category" if types.is_dictionary(kind) else "object"


TEXT = dtype_mark(pd.Series(["text"]).dtype)
