"""P4: equal content stops an update, in whatever file format, chunking or encoding it comes."""

import io
import json
from typing import Any

import pandas as pd
import pandera.pandas as pan
import pandera.polars as pop
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.feather as pf
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.frames import to_table
from afresh.assets.schema import describe, read_types, validate
from afresh.storage.content import Content, hash_table
from afresh.storage.formats.arrow import Arrow
from afresh.storage.formats.csv import Csv
from afresh.storage.formats.jsonl import JsonLines
from afresh.storage.formats.parquet import Parquet

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=5)
INSTANTS = st.datetimes(pd.Timestamp(1800, 1, 1), pd.Timestamp(2200, 1, 1))
INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)

# As pandera declares it, as Arrow holds it, the values.
PANDAS: dict[str, tuple[Any, pa.DataType, st.SearchStrategy[Any]]] = {
    "int64": ("int64", pa.int64(), INTS),
    "Int64": ("Int64", pa.int64(), INTS | st.none()),
    "int8": ("int8", pa.int8(), st.integers(-128, 127)),
    "float64": ("float64", pa.float64(), FLOATS | st.none()),
    "Float64": ("Float64", pa.float64(), FLOATS | st.none()),
    "bool": ("bool", pa.bool_(), st.booleans()),
    "boolean": ("boolean", pa.bool_(), st.booleans() | st.none()),
    "str": (str, pa.string(), TEXT | st.none()),
    "string": ("string", pa.string(), TEXT | st.none()),
    "category": ("category", pa.string(), TEXT | st.none()),
    "listed": (
        pd.CategoricalDtype(["b", "a"], ordered=True),
        pa.string(),
        st.sampled_from(["a", "b", None]),
    ),
    "datetime64": ("datetime64[us]", pa.timestamp("us"), INSTANTS | st.none()),
}
POLARS: dict[str, tuple[Any, pa.DataType, st.SearchStrategy[Any]]] = {
    "Int64": (pl.Int64, pa.int64(), INTS | st.none()),
    "Float64": (pl.Float64, pa.float64(), FLOATS | st.none()),
    "Boolean": (pl.Boolean, pa.bool_(), st.booleans() | st.none()),
    "String": (pl.String, pa.string(), TEXT | st.none()),
    "Date": (pl.Date, pa.date32(), st.dates() | st.none()),
    "Datetime": (pl.Datetime("us"), pa.timestamp("us"), INSTANTS | st.none()),
}


def _encoded(data: st.DataObject, column: pa.Array) -> pa.Array:
    """The same text as another writer would have it."""
    if not pa.types.is_string(column.type):
        return column
    kinds = [pa.string(), pa.large_string(), pa.string_view()]
    kinds.append(pa.dictionary(pa.int32(), pa.string()))
    return column.cast(data.draw(st.sampled_from(kinds)))


def _files(data: st.DataObject, table: pa.Table) -> dict[str, bytes]:
    encoded = pa.table({n: _encoded(data, table[n].combine_chunks()) for n in table.column_names})
    made = {name: io.BytesIO() for name in ("csv", "parquet", "arrow")}
    pc.write_csv(table, made["csv"])
    pq.write_table(encoded, made["parquet"], row_group_size=2)
    pf.write_feather(encoded, made["arrow"], compression="uncompressed", chunksize=2)
    files = {name: file.getvalue() for name, file in made.items()}
    lines = [json.dumps(row, default=lambda value: value.isoformat()) for row in table.to_pylist()]
    return files | {"jsonl": "\n".join(lines).encode()}


def _content(kind: Any, data: bytes, schema: Any, types: Any) -> Content:
    read = kind().read(data, types, {})
    return hash_table(to_table(validate(read, schema, "pyarrow")))


@given(st.data(), st.booleans(), st.integers(1, 5))
def test_the_format_of_a_source_is_not_its_content(
    data: st.DataObject, polars: bool, rows: int
) -> None:
    kinds = POLARS if polars else PANDAS
    names = data.draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=5, unique=True))
    table = pa.table(
        {
            name: pa.array(
                data.draw(st.lists(kinds[name][2], min_size=rows, max_size=rows)), kinds[name][1]
            )
            for name in names
        }
        | {"row": pa.array(range(rows), pa.int64())}  # a row of nothing alone is no row of CSV
    )
    library: Any = pop if polars else pan
    columns = {name: library.Column(kinds[name][0], nullable=True) for name in names}
    schema = library.DataFrameSchema(columns)
    files = _files(data, table)
    types = read_types(describe(schema))
    expected = _content(Csv, files["csv"], schema, types)
    assert _content(Parquet, files["parquet"], schema, types) == expected
    assert _content(Arrow, files["arrow"], schema, types) == expected
    assert _content(JsonLines, files["jsonl"], schema, types) == expected
