"""Pay for what each process pays once, before a task comes: the first frame in a fork costs 50 ms.

In the worker after the fork: used before it, polars would break in the child.
"""

import sys
from contextlib import suppress
from io import BytesIO

import pandas as pd
import pandera.pandas as pa_pandas
import pyarrow as pa
import pyarrow.parquet as pq

from afresh.assets.frames import to_given, to_table
from afresh.assets.schema import validate
from afresh.storage.content import hash_table
from afresh.storage.formats.registry import detect


def load_backends() -> None:
    """Have pandera import what it imports with the first validation. Harmless before a fork."""
    frame = pd.DataFrame({"number": [1]})
    schema = pa_pandas.DataFrameSchema({"number": pa_pandas.Column(int, pa_pandas.Check.ge(0))})
    schema.validate(frame, lazy=True)


def warm() -> None:
    """Take a tiny frame through all that a task does with a real one."""
    frame = pd.DataFrame({"text": ["a", "b"], "number": [1, 2], "real": [0.5, None]})
    schema = pa_pandas.DataFrameSchema(
        {
            "text": pa_pandas.Column(str, pa_pandas.Check.str_length(1, 2)),
            "number": pa_pandas.Column(int, pa_pandas.Check.ge(0), unique=True),
            "real": pa_pandas.Column(float, nullable=True, coerce=True),
        }
    )
    validate(frame, schema, "pandas")
    table = to_table(frame)
    validate(table, schema, "pyarrow")
    hash_table(table)
    kind, _ = detect("warm.csv", "")
    kind.read(b"text,number,real\na,1,0.5\nb,2,\n", {"text": "string", "number": "int64"}, {})
    file = BytesIO()
    pq.write_table(table, file)
    to_given(pq.ParquetFile(pa.BufferReader(file.getvalue())).read(), "pandas")
    frame.groupby("text", as_index=False).agg(mean=("real", "mean"))
    if "polars" in sys.modules:
        with suppress(ImportError):
            _warm_polars(table)


def _warm_polars(table: pa.Table) -> None:
    import pandera.polars as pa_polars  # noqa: PLC0415 - only where the project uses it
    import polars as pl  # noqa: PLC0415

    frame = to_given(table, "polars")
    schema = pa_polars.DataFrameSchema({"number": pa_polars.Column(int, nullable=True)})
    validate(frame, schema, "polars")
    frame.lazy().group_by("text").agg(pl.col("real").mean()).collect()
    to_table(frame)
