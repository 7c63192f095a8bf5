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
from afresh.daemon.workers.live import Loaded
from afresh.storage.content import hash_table


def warm(loaded: Loaded) -> None:
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
    file = BytesIO()
    pq.write_table(table, file)
    to_given(pq.ParquetFile(pa.BufferReader(file.getvalue())).read(), "pandas")
    frame.groupby("text", as_index=False).agg(mean=("real", "mean"))
    if "polars" in sys.modules:
        with suppress(ImportError):
            _warm_polars(table)
    del loaded


def _warm_polars(table: pa.Table) -> None:
    import pandera.polars as pa_polars  # noqa: PLC0415 - only where the project uses it
    import polars as pl  # noqa: PLC0415

    frame = to_given(table, "polars")
    schema = pa_polars.DataFrameSchema({"number": pa_polars.Column(int, nullable=True)})
    validate(frame, schema, "polars")
    frame.lazy().group_by("text").agg(pl.col("real").mean()).collect()
    to_table(frame)
