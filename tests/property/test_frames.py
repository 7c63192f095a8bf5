"""P2, P4: what is stored of a frame is the frame, and what coercion passes is what was there."""

import io
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pan
import pandera.polars as pop
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.errors import InvalidData
from afresh.assets.frames import to_given, to_table
from afresh.assets.schema import validate
from support.examples import times

TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
INTS = st.integers(-(2**63), 2**63 - 1)
INSTANTS = st.integers(-(10**17), 10**17)


def stored(table: pa.Table) -> pa.Table:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return pq.read_table(io.BytesIO(sink.getvalue()))


def _series(values: st.SearchStrategy[Any], dtype: Any, *, nulls: bool) -> st.SearchStrategy[Any]:
    each = values | st.none() if nulls else values
    return st.lists(each, min_size=3, max_size=3).map(lambda v: pd.Series(v, dtype=dtype))


def _category(values: list[Any], codes: list[int], ordered: bool) -> Any:
    listed = [None if code >= len(values) else values[code] for code in codes]
    return pd.Series(pd.Categorical(listed, categories=values, ordered=ordered))


def _categories(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        _category,
        st.lists(values, min_size=1, max_size=4, unique=True),
        st.lists(st.integers(0, 9), min_size=3, max_size=3),
        st.booleans(),
    )


SERIES = st.one_of(
    _series(INTS, "int64", nulls=False),
    _series(INTS, "Int64", nulls=True),
    _series(st.integers(0, 255), "UInt8", nulls=True),
    _series(st.floats(allow_nan=True), "float64", nulls=True),
    _series(st.floats(allow_nan=False), "Float64", nulls=True),
    _series(st.booleans(), "bool", nulls=False),
    _series(st.booleans(), "boolean", nulls=True),
    _series(TEXT, "str", nulls=True),
    _series(TEXT, "string", nulls=True),
    _series(TEXT, object, nulls=True),
    _series(st.binary(max_size=4), object, nulls=True),
    _series(st.dates(), object, nulls=True),
    _series(INSTANTS, "datetime64[ns]", nulls=True),
    _series(INSTANTS, "datetime64[ns, Europe/Berlin]", nulls=True),
    _series(st.lists(INTS, max_size=3), object, nulls=True),
    _categories(TEXT),
    _categories(INTS),
)


@times(1.5)
@given(st.dictionaries(TEXT, SERIES, min_size=1, max_size=4), st.integers(0, 3))
def test_a_frame_comes_back_from_storage_as_it_was(columns: dict[str, Any], rows: int) -> None:
    frame = pd.DataFrame(columns)[:rows]
    back = to_given(stored(to_table(frame)), "pandas")
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert to_table(back).equals(to_table(frame), check_metadata=True)


VALUES = st.one_of(
    INTS,
    st.floats(),
    st.booleans(),
    INTS.map(str),
    INTS.map(lambda n: f"0{n}"),
    st.floats(allow_nan=False).map(repr),
    TEXT,
    st.sampled_from(["True", "False", "007", "1.0", "1e5", " 1", "+1", "nan", "2013-01-01"]),
)
TARGETS = ["int64", "int8", "uint64", "float64", "float32", "bool", "Int64", "str"]
POLARS = {
    "int64": pl.Int64, "int8": pl.Int8, "uint64": pl.UInt64, "float64": pl.Float64,
    "float32": pl.Float32, "bool": pl.Boolean, "Int64": pl.Int64, "str": pl.String,
}  # fmt: skip


def survived(old: Any, new: Any) -> bool:
    """An independent reading of lossless: the new value leads back to the old one."""
    if isinstance(old, float) and np.isnan(old):
        return bool(pd.isna(new))
    if isinstance(old, str) and not isinstance(new, str):
        if isinstance(new, bool):
            return old.lower() == str(new).lower()
        if isinstance(new, int):
            return old == str(new)
        return bool(float(old) == new or float(np.float32(old)) == new)
    if isinstance(new, str) and not isinstance(old, str):
        if isinstance(old, bool):
            return old == (new.lower() == "true")
        return bool(type(old)(new) == old)
    return bool(old == new)


@cache
def coercing(target: str, polars: bool) -> Any:
    if polars:
        column = pop.Column(POLARS[target], coerce=True, nullable=True)
        return pop.DataFrameSchema({"x": column})
    return pan.DataFrameSchema({"x": pan.Column(target, coerce=True, nullable=True)})


@times(4)
@given(st.data(), st.sampled_from(TARGETS), st.booleans())
def test_what_coercion_lets_pass_has_lost_nothing(data: Any, target: str, polars: bool) -> None:
    value, schema = data.draw(VALUES), coercing(target, polars)
    try:
        if polars:
            made = validate(pl.DataFrame({"x": [value]}), schema, "polars")["x"].to_list()[0]
        else:
            made = validate(pd.DataFrame({"x": [value]}), schema, "pandas")["x"].tolist()[0]
    except InvalidData:
        return
    assert survived(value, made), (value, made)
