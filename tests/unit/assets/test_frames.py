import datetime as dt
import decimal
import io
import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from afresh.assets.arrow_types import arrow_type
from afresh.assets.errors import InvalidData
from afresh.assets.frames import to_given, to_table


def parquet(table: pa.Table) -> pa.Table:
    """What comes back from storage."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return pq.read_table(io.BytesIO(sink.getvalue()))


def stamps(*texts: str) -> pd.DatetimeIndex:
    return pd.to_datetime(list(texts))


COLUMNS = {
    "text": pd.Series(["a", None]),
    "text of pandas 2": pd.Series(["a", "b"], dtype=object),
    "text with NA": pd.Series(["a", None], dtype="string"),
    "text in python": pd.Series(["a", None], dtype="string[python]"),
    "float": pd.Series([1.5, np.nan]),
    "float32": pd.Series([1.5, 2.5], dtype="float32"),
    "float16": pd.Series([1.5, 2.5], dtype="float16"),
    "Float64": pd.Series([1.5, None], dtype="Float64"),
    "int": pd.Series([2**53 + 1, -1]),
    "uint8": pd.Series([255, 0], dtype="uint8"),
    "Int64 with null": pd.Series([2**53 + 1, None], dtype="Int64"),
    "Int32 without": pd.Series([1, 2], dtype="Int32"),
    "UInt16": pd.Series([1, None], dtype="UInt16"),
    "int as object": pd.Series([1, None], dtype=object),
    "bool": pd.Series([True, False]),
    "boolean": pd.Series([True, None], dtype="boolean"),
    "arrow": pd.Series([1, None], dtype=pd.ArrowDtype(pa.int64())),
    "ns": pd.Series(stamps("2020-01-01", "2020-01-02").as_unit("ns")),
    "us": pd.Series(stamps("2020-01-01", "2020-01-02").as_unit("us")),
    "utc": pd.Series(stamps("2020-01-01", "2020-01-02").tz_localize("UTC").as_unit("ns")),
    "zone": pd.Series(
        stamps("2020-10-25 00:30", "2020-10-25 01:30").tz_localize("UTC")
    ).dt.tz_convert("Europe/Berlin"),
    "span": pd.Series(pd.to_timedelta([1, None], unit="s")),
    "category": pd.Series(pd.Categorical(["a", None], categories=["z", "b", "a"])),
    "ordered": pd.Series(pd.Categorical(["a", "b"], categories=["b", "a"], ordered=True)),
    "category of int": pd.Series(pd.Categorical([3, 1], categories=[9, 3, 1])),
    "ordered of int": pd.Series(pd.Categorical([3, 1], categories=[9, 3, 1], ordered=True)),
    "category of time": pd.Series(pd.Categorical(stamps("2020-01-01", "2019-01-01"))),
    "date": pd.Series([dt.date(2020, 1, 1), None], dtype=object),
    "time": pd.Series([dt.time(1, 2, 3), None], dtype=object),
    "decimal": pd.Series([decimal.Decimal("1.50"), None], dtype=object),
    "bytes": pd.Series([b"\x00", None], dtype=object),
    "list": pd.Series([[1, 2], None], dtype=object),
    "dict": pd.Series([{"a": 1}, None], dtype=object),
    "nothing": pd.Series([None, None], dtype=object),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("stored", [False, True])
def test_pandas_comes_back_as_it_was(name: str, rows: int, stored: bool) -> None:
    frame = pd.DataFrame({"x": COLUMNS[name]})[:rows]
    table = to_table(frame)
    back = to_given(parquet(table) if stored else table, "pandas")
    pd.testing.assert_frame_equal(frame, back, check_exact=True)
    assert isinstance(back.index, pd.RangeIndex)


def test_all_columns_together_keep_their_order() -> None:
    frame = pd.DataFrame(COLUMNS)
    pd.testing.assert_frame_equal(to_given(parquet(to_table(frame)), "pandas"), frame)


def test_other_readers_understand_what_is_stored() -> None:
    frame = pd.DataFrame({n: COLUMNS[n] for n in ("ordered", "Int32 without", "text", "zone")})
    sink = io.BytesIO()
    pq.write_table(to_table(frame), sink)
    pd.testing.assert_frame_equal(pd.read_parquet(sink), frame)


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (pa.array([2**53 + 1, None]), "Int64"),
        (pa.array([1, None], pa.uint8()), "UInt8"),
        (pa.array([True, None]), "boolean"),
        (pa.array([1, 2]), "int64"),
        (pa.array([1.0, None]), "float64"),
        (pa.array(["a", None]), "str"),
    ],
)
def test_nulls_never_bend_a_type(column: pa.Array, dtype: str) -> None:
    frame = to_given(pa.table({"x": column}), "pandas")
    assert str(frame["x"].dtype) == dtype
    assert to_table(frame)["x"].to_pylist() == column.to_pylist()


def test_lists_come_as_lists_and_encodings_are_looked_through() -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([7]))
    frame = to_given(pa.table({"l": pa.array([[1], [2, 3]]), "r": runs}), "pandas")
    assert frame["l"].tolist() == [[1], [2, 3]]
    assert frame["r"].tolist() == [7, 7]
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1, 2], pa.int32()), pa.array([7, None]))
    assert str(to_given(pa.table({"r": runs}), "pandas")["r"].dtype) == "Int64"


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"x": [1]}, index=["a"]), "row numbers, found Index"),
        (pd.DataFrame({"x": [1]}, index=pd.Index(["a"], name="key")), "one named 'key'"),
        (pd.DataFrame({"x": [1]}, index=pd.RangeIndex(1, name="id")), "one named 'id'"),
        (pd.DataFrame({"x": [1]}, index=pd.to_datetime(["2024-01-01"])), "DatetimeIndex"),
        (pd.DataFrame({"x": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "MultiIndex"),
    ],
)
def test_other_indexes_are_refused(frame: pd.DataFrame, words: str) -> None:
    with pytest.raises(InvalidData, match=words) as caught:
        to_table(frame)
    assert "reset_index" in caught.value.hint


def test_row_numbers_are_no_data() -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], "o": pd.Series(["a", None, "c"], dtype=object)})
    for made in (
        frame[frame["x"] > 1],
        frame.sort_values("x", ascending=False),
        pd.concat([frame, frame]),
        frame[frame["x"] > 5],
        frame.set_index(pd.Index([7, 8, 9])),
    ):
        table = to_table(made)
        assert table.column_names == ["x", "o"]
        assert table["x"].to_pylist() == made["x"].tolist()
        assert to_given(table, "pandas").index.equals(pd.RangeIndex(len(made)))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({1: [1]}), "strings, found 1"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a' 2 times"),
        (pd.DataFrame({"o": ["a", 1]}), "found int, str"),
        (pd.DataFrame({"o": pd.Series([1, 2.5], dtype=object)}), "found float, int"),
        (pd.DataFrame({"o": pd.Series([True, 1], dtype=object)}), "found bool, int"),
        (
            pd.DataFrame({"o": [dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 5)]}, dtype=object),  # noqa: DTZ001
            "date, datetime",
        ),
        (pd.DataFrame({"o": [{1}, {2}]}), "found set"),
        (pd.DataFrame({"o": [object()]}), "found object"),
        (pd.DataFrame({"p": pd.period_range("2020-01-01", periods=2, freq="D")}), "period"),
        (pd.DataFrame({"c": [1j]}), "complex128"),
        (pd.DataFrame(index=range(3)), "3 rows without any"),
        (pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}), "Object"),
        (pl.DataFrame({"i": pl.Series([1], dtype=pl.Int128)}), "Int128"),
        (None, "a frame, found None"),
        ([1], "found builtins.list"),
    ],
)
def test_what_cannot_be_kept_is_refused(frame: object, words: str) -> None:
    with pytest.raises(InvalidData, match=words):
        to_table(frame)


POLARS = pl.DataFrame(
    {
        "s": ["a", None],
        "f": [1.0, float("nan")],
        "i": [2**60, None],
        "e": pl.Series(["a", "b"], dtype=pl.Enum(["z", "b", "a"])),
        "c": pl.Series(["a", "b"], dtype=pl.Categorical),
        "l": [[1], [2, 3]],
        "d": [dt.date(2020, 1, 1)] * 2,
        "t": [dt.time(1)] * 2,
        "td": [dt.timedelta(1)] * 2,
        "st": [{"a": 1}, {"a": 2}],
        "u": pl.Series([1, 2], dtype=pl.UInt8),
        "z": pl.Series([dt.datetime(2020, 1, 1)] * 2).dt.replace_time_zone("Europe/Berlin"),  # noqa: DTZ001
    }
)


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("lazy", [False, True])
def test_polars_comes_back_as_it_was(rows: int, lazy: bool) -> None:
    frame = POLARS[:rows]
    table = parquet(to_table(frame.lazy() if lazy else frame))
    back = to_given(table, "polars_lazy" if lazy else "polars")
    back = back.collect() if lazy else back
    assert back.schema == frame.schema
    assert back.equals(frame)


def test_polars_is_told_the_order_of_categories() -> None:
    frame = pd.DataFrame({"c": pd.Categorical(["a"], categories=["z", "a"], ordered=True)})
    assert to_given(parquet(to_table(frame)), "polars").schema["c"] == pl.Enum(["z", "a"])


def test_no_columns_and_no_rows() -> None:
    assert to_given(to_table(pd.DataFrame()), "polars").shape == (0, 0)
    assert to_given(to_table(pl.DataFrame()), "pandas").shape == (0, 0)


def test_a_table_keeps_its_marks_and_no_other_metadata() -> None:
    marked = to_table(pd.DataFrame({"x": pd.array([1], dtype="Int64"), "y": [1]}))
    assert to_given(to_table(marked), "pandas").dtypes.astype(str).tolist() == ["Int64", "int64"]
    assert json.loads(to_table(marked).schema.metadata[b"afresh"])["dtypes"] == {"x": "Int64"}
    assert to_table(marked.select(["y"])).schema.metadata is None
    changed = marked.set_column(0, "x", pa.array(["now text"]))
    assert to_given(changed, "pandas")["x"].tolist() == ["now text"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("string", pa.string()),
        ("date", pa.date32()),
        ("timestamp[us]", pa.timestamp("us")),
        ("timestamp[ns, Europe/Berlin]", pa.timestamp("ns", "Europe/Berlin")),
        ("duration[ms]", pa.duration("ms")),
        ("time[us]", pa.time64("us")),
        ("decimal(10, 2)", pa.decimal128(10, 2)),
        (
            "list<struct<a: list<int8>, b: string>>",
            pa.list_(pa.struct([("a", pa.list_(pa.int8())), ("b", pa.string())])),
        ),
    ],
)
def test_names_of_types(name: str, kind: pa.DataType) -> None:
    assert arrow_type(name) == kind


def test_an_unknown_name_of_a_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="'int65'"):
        arrow_type("int65")


@pytest.mark.parametrize(
    "said",
    [
        "no json",
        "[1]",
        '{"dtypes": {"a": 5}}',
        '{"dtypes": {"a": "str,tape"}}',
        '{"dtypes": {"a": "category"}, "categories": {"a": "bm8="}}',
        '{"dtypes": {"a": "Int64"}}',
    ],
)
def test_metadata_of_somebody_elses_making_does_no_harm(said: str) -> None:
    table = pa.table({"a": ["x"]}).replace_schema_metadata({"afresh": said})
    frame = to_given(to_table(table), "pandas")
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"a": ["x"]}))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x", "y", "x"]).dictionary_encode(),
        pa.chunked_array([pa.array([each]).dictionary_encode() for each in "xyx"]),
        pa.RunEndEncodedArray.from_arrays([1, 2, 3], pa.array(["x", "y", "x"])),
        pa.array(["x", "y", "x"], pa.string_view()),
    ],
)
def test_encodings_of_a_table_are_no_types(column: Any) -> None:
    made = to_table(pa.table({"a": column}))
    assert made["a"].cast(pa.string()).equals(pa.chunked_array([["x", "y", "x"]]))
    assert made["a"].type in (pa.string(), pa.large_string())
    ordered = pa.array(["x"]).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string(), True))
    assert to_table(pa.table({"a": ordered}))["a"].type.ordered
