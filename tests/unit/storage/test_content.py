import io
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from afresh.assets.errors import InvalidData
from afresh.assets.frames import to_given, to_table
from afresh.assets.marks import Marks, encode_categories
from afresh.storage.content import hash_table


def fingerprint(**columns: object) -> str:
    return hash_table(pa.table(columns)).fingerprint


def of_pandas(frame: pd.DataFrame) -> str:
    return hash_table(pa.Table.from_pandas(frame, preserve_index=False)).fingerprint


def categorical(values: list[object], categories: list[object], *, ordered: bool = False) -> str:
    return of_pandas(
        pd.DataFrame({"a": pd.Categorical(values, categories=categories, ordered=ordered)})
    )


def test_the_digest_is_kept_across_releases() -> None:
    table = pa.table({"a": pa.array([1, None, 3]), "b": ["x", "", None], "c": [1.5, -0.0, None]})
    assert hash_table(table).fingerprint == "6576b2f36c6b3b37167074a3b0381cc188568122"


def test_zeros_differ_and_nans_do_not() -> None:
    assert fingerprint(a=[0.0]) != fingerprint(a=[-0.0])
    payload = pa.Array.from_buffers(
        pa.float64(), 1, [None, pa.py_buffer(b"\x01\x00\x00\x00\x00\x00\xf8\xff")]
    )
    assert fingerprint(a=payload) == fingerprint(a=[float("nan")])
    assert fingerprint(a=[float("nan")]) != fingerprint(a=pa.array([None], pa.float64()))


def test_empty_and_null_text_differ() -> None:
    assert fingerprint(a=[""]) != fingerprint(a=pa.array([None], pa.string()))
    assert fingerprint(a=["ab", ""]) != fingerprint(a=["a", "b"])


def test_the_type_is_content() -> None:
    assert fingerprint(a=pa.array([1], pa.int32())) != fingerprint(a=pa.array([1], pa.int64()))
    assert fingerprint(a=pa.array([], pa.int32())) != fingerprint(a=pa.array([], pa.string()))
    assert fingerprint(a=["a"]) != fingerprint(a=[b"a"])
    one, two = pa.timestamp("us"), pa.timestamp("us", "UTC")
    assert fingerprint(a=pa.array([1], one)) != fingerprint(a=pa.array([1], two))


def test_chunks_across_windows_do_not_matter() -> None:
    values = [None if i % 97 == 0 else i for i in range(150_000)]
    words = pc.cast(pa.array(values), pa.string())
    pieces = pa.chunked_array([words[:70_001], words[70_001:70_002], words[70_002:]])
    whole = hash_table(pa.table({"a": values, "b": words, "c": words.dictionary_encode()}))
    parts = hash_table(pa.table({"a": pa.chunked_array([values]), "b": pieces, "c": pieces}))
    assert whole == parts
    assert whole.columns["b"] == whole.columns["c"]


def test_nulls_in_another_window_are_seen() -> None:
    first = [None] + [1] * 131_071
    second = [1] * 65_536 + [None] + [1] * 65_535
    assert fingerprint(a=first) != fingerprint(a=second)


def test_nested_boundaries_are_content() -> None:
    assert fingerprint(a=[[1], [2, 3]]) != fingerprint(a=[[1, 2], [3]])
    assert fingerprint(a=[[[1], []]]) != fingerprint(a=[[[], [1]]])
    assert fingerprint(a=[[], None]) != fingerprint(a=[None, []])
    assert fingerprint(a=[{"x": None}]) != fingerprint(a=pa.array([None], pa.struct({"x": "null"})))


def test_what_lies_beneath_a_null_list_or_struct_is_not_content() -> None:
    mask = pa.array([False, True])
    lists = [
        pa.ListArray.from_arrays(pa.array([0, 1, 2]), pa.array([1, hidden]), mask=mask)
        for hidden in (7, 8)
    ]
    assert fingerprint(a=lists[0]) == fingerprint(a=lists[1]) == fingerprint(a=[[1], None])
    structs = [
        pa.StructArray.from_arrays([pa.array([1, hidden])], names=["x"], mask=mask)
        for hidden in (7, 8)
    ]
    assert fingerprint(a=structs[0]) == fingerprint(a=structs[1])


def test_the_order_of_categories_is_content() -> None:
    base = categorical(["a", "b"], ["a", "b"])
    assert categorical(["a", "b"], ["b", "a"]) != base
    assert categorical(["a", "b"], ["a", "b", "c"]) != base
    assert categorical(["a", "b"], ["a", "b"], ordered=True) != base
    assert categorical([1, 2], [2, 1]) != categorical([1, 2], [1, 2])
    assert of_pandas(pd.DataFrame({"a": ["a", "b"]})) != base


def test_chunks_of_a_categorical_do_not_matter() -> None:
    frame = pd.DataFrame({"a": pd.Categorical(["a", "b", "a"], categories=["b", "a", "z"])})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    parts = pa.concat_tables([table[:1], table[1:]])
    assert parts.column("a").num_chunks == 2
    assert hash_table(parts) == hash_table(table)


def test_polars_categories_have_no_order_and_enums_have() -> None:
    column = pl.Series("a", ["b", "a"], pl.Categorical)
    table = pl.DataFrame([column]).to_arrow()
    recoded = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.uint32()), pa.array(["a", "b"]))
    assert hash_table(table) == hash_table(
        pa.Table.from_arrays(
            [recoded], schema=pa.schema([table.schema.field(0).with_type(recoded.type)])
        )
    )
    assert hash_table(table).columns != hash_table(pa.table({"a": ["b", "a"]})).columns
    one, two = (
        hash_table(pl.DataFrame({"a": pl.Series(["b"], dtype=pl.Enum(names))}).to_arrow())
        for names in (["a", "b"], ["b", "a"])
    )
    assert one != two


def test_the_default_index_of_pandas_is_not_content() -> None:
    table = pa.Table.from_pandas(pd.DataFrame({"a": [1, 2]}))
    assert hash_table(table) == hash_table(table.replace_schema_metadata(None))


def test_intervals_and_periods_have_a_hash() -> None:
    months = pd.DataFrame({"a": pd.period_range("2020-01", periods=2, freq="M")})
    days = pd.DataFrame({"a": pd.period_range("2020-01", periods=2, freq="D")})
    assert of_pandas(months) != of_pandas(days)
    cut = [pd.DataFrame({"a": pd.cut(pd.Series([1, 5]), bins)}) for bins in ([0, 3, 9], [0, 4, 9])]
    assert of_pandas(cut[0]) != of_pandas(cut[1])


def test_two_columns_of_one_name_are_refused() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(InvalidData, match="distinct column names, found 'a' 2 times"):
        hash_table(table)


def test_a_union_is_refused_by_its_column() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(InvalidData, match="column 'odd'"):
        hash_table(pa.table({"odd": union}))


def test_no_rows_and_no_chunks_are_the_same() -> None:
    empty = pa.chunked_array([], pa.int64())
    assert fingerprint(a=empty) == fingerprint(a=pa.array([], pa.int64()))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pd.Series([1, 2], dtype="int64"), pd.Series([1, 2], dtype="Int64")),
        (pd.Series(["a"], dtype="str"), pd.Series(["a"], dtype=object)),
        (pd.Series(["a"], dtype="str"), pd.Series(["a"], dtype="string")),
        (pd.Series([True], dtype="bool"), pd.Series([True], dtype="boolean")),
        (pd.Series([1.5], dtype="float64"), pd.Series([1.5], dtype="Float64")),
        (pd.Series([1.5], dtype="float64"), pd.Series([1.5], dtype=pd.ArrowDtype(pa.float64()))),
        (pd.Series([1], dtype="int64"), pd.Series([1], dtype=object)),
        (pd.Series(["a"], dtype="str"), pd.Series(["a"], dtype="category")),
        (pd.Series([], dtype="int64"), pd.Series([], dtype="Int64")),
    ],
)
def test_what_pandas_is_given_is_content(one: Any, two: Any) -> None:
    tables = [to_table(pd.DataFrame({"a": series, "b": 1})) for series in (one, two)]
    contents = [hash_table(table) for table in tables]
    assert contents[0].fingerprint != contents[1].fingerprint
    assert contents[0].columns["a"] != contents[1].columns["a"]
    assert contents[0].columns["b"] == contents[1].columns["b"]
    for table, content in zip(tables, contents, strict=True):
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        assert hash_table(pq.ParquetFile(buffer).read()) == content


def test_the_categories_that_are_given_are_content() -> None:
    table = to_table(pd.DataFrame({"a": pd.Categorical(["a"], categories=["a", "b"])}))
    marks = Marks.of(table)
    more = Marks(marks.dtypes, {"a": encode_categories("a", pd.Index(["a", "b", "c"]))}).on(table)
    assert to_given(more, "pandas")["a"].cat.categories.to_list() == ["a", "b", "c"]
    assert hash_table(more) != hash_table(table)


def test_what_a_field_says_is_content_but_not_what_a_format_notes_there() -> None:
    def said(**metadata: str) -> str:
        field = pa.field("a", pa.int64(), metadata=metadata or None)
        return hash_table(pa.table([[1]], schema=pa.schema([field]))).fingerprint

    assert said(unit="km") != said(unit="mi")
    assert said(**{"PARQUET:field_id": "1"}) == said()
