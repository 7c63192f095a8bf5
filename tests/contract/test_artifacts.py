"""What every store of artifacts keeps: local folders, and another one through fsspec."""

from collections.abc import Callable
from pathlib import Path

import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given

from afresh.assets.errors import ArtifactError, InvalidData
from afresh.storage.artifacts.files import (
    create,
    delete,
    exists,
    hash_bytes,
    read_bytes,
    verify,
)
from afresh.storage.artifacts.paths import artifact_uri
from afresh.storage.artifacts.store import read_table, write_table
from afresh.storage.content import hash_table
from services.stores import RUNS, Stores
from support.examples import times
from support.tables import tables

TABLE = pa.table({"a": [1, None, 3], "b": ["x", "", None]})


LOCAL = ["local", "file://", "memory://"]
REAL = [pytest.param(name, marks=pytest.mark.service) for name in RUNS]


def numbered(base: str) -> Callable[[], str]:
    numbers = iter(range(10**9))
    return lambda: artifact_uri(base, "asset", "a/b %", f"run{next(numbers)}", "asset")


@pytest.fixture(params=LOCAL)
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Give a new uri at each call; for what tables come back as, which no store has a part in."""
    return numbered(local_base(request.param, tmp_path))


@pytest.fixture(params=[*LOCAL, *REAL])
def new(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """Give a new uri at each call."""
    if request.param in LOCAL:
        return numbered(local_base(request.param, tmp_path))
    stores: Stores = request.getfixturevalue("stores")
    store = stores.get(request.param)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("afresh.storage.stores._made", {})
    return numbered(f"{store.protocol}://{store.new_bucket()}/some/prefix")


def local_base(kind: str, folder: Path) -> str:
    bases = {"file://": f"file://{folder}", "memory://": f"memory://{folder.name}"}
    return bases.get(kind, str(folder))


def corrupt(uri: str) -> None:
    data = bytearray(read_bytes(uri))
    data[len(data) // 2] ^= 1
    put(uri, bytes(data))


def put(uri: str, data: bytes) -> None:
    with fsspec.open(uri, "wb", skip_instance_cache=True) as file:
        file.write(data)


def test_what_is_written_is_read(new: Callable[[], str]) -> None:
    uri = new()
    assert not exists(uri)
    stored = write_table(TABLE, uri)
    assert exists(uri)
    assert read_table(uri).equals(TABLE)
    assert stored == (uri, len(read_bytes(uri)), hash_bytes(uri))
    assert read_table(uri, verify_hash=stored.hash).equals(TABLE)
    verify(uri, stored.hash)


def test_columns_are_read_in_the_order_asked_for(new: Callable[[], str]) -> None:
    table = pa.table({"a": [1], "a.b": [2], "s": [{"a": 3}]})
    uri = new()
    write_table(table, uri)
    assert read_table(uri, ["a.b", "a"]).to_pylist() == [{"a.b": 2, "a": 1}]
    assert read_table(uri, ["s"]).to_pylist() == [{"s": {"a": 3}}]
    with pytest.raises(ArtifactError, match=r"Expected column 'z', found 'a', 'a\.b', 's'"):
        read_table(uri, ["a", "z"])


def test_some_rows_are_read_without_the_rest(
    local: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.storage.artifacts.store._GROUP_ROWS", 10)
    table = pa.table({"n": range(35), "s": [str(i) for i in range(35)]})
    uri = local()
    write_table(table, uri)
    for first in (0, 1, 9, 10, 19, 30, 35):
        for count in (0, 1, 10, 11, 35):
            found = read_table(uri, rows=(first, count))
            assert found.equals(table.slice(first, count)), (first, count)
    assert read_table(uri, ["s"], rows=(12, 2)).to_pylist() == [{"s": "12"}, {"s": "13"}]


def test_a_large_table_is_written_in_groups_of_a_size(local: Callable[[], str]) -> None:
    uri = local()
    write_table(pa.table({"s": ["x" * 100_000] * 1000}), uri)
    file = pq.ParquetFile(pa.BufferReader(read_bytes(uri)))
    assert file.metadata.num_row_groups == 6


def test_an_artifact_is_never_overwritten(new: Callable[[], str]) -> None:
    uri = new()
    write_table(TABLE, uri)
    with pytest.raises(ArtifactError, match="exists") as caught:
        write_table(TABLE.slice(1), uri)
    assert "PAR1" not in repr(caught.value.__cause__), "the log of a run would have all of it"
    assert read_table(uri).equals(TABLE)


def test_damage_is_found(new: Callable[[], str]) -> None:
    uri = new()
    stored = write_table(TABLE, uri)
    corrupt(uri)
    with pytest.raises(ArtifactError, match="Expected bytes with hash"):
        verify(uri, stored.hash)
    with pytest.raises(ArtifactError, match="Expected bytes with hash"):
        read_table(uri, verify_hash=stored.hash)


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"no parquet at all", b"PAR1" + bytes(99) + b"PAR1"]
)
def test_what_is_no_parquet_is_named(new: Callable[[], str], data: bytes) -> None:
    uri = new()
    put(uri, data)
    with pytest.raises(ArtifactError, match="Expected a Parquet artifact"):
        read_table(uri)


def test_an_absent_artifact_says_how_to_rebuild_it(new: Callable[[], str]) -> None:
    uri = new()
    for read in (read_table, hash_bytes, read_bytes):
        with pytest.raises(ArtifactError, match="found nothing at") as caught:
            read(uri)
        assert "materialize" in caught.value.hint


def test_delete_counts_and_passes_over_what_is_not_there(new: Callable[[], str]) -> None:
    one, two = new(), new()
    write_table(TABLE, one)
    assert delete([two, one]) == 1
    assert not exists(one)
    assert delete([one, two]) == 0


def test_a_failed_write_leaves_nothing(new: Callable[[], str]) -> None:
    uri = new()

    def write_half() -> None:
        with create(uri) as file:
            file.write(b"half")
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        write_half()
    assert not exists(uri)


def nested(levels: int) -> pa.DataType:
    kind = pa.int8()
    for _ in range(levels):
        kind = pa.list_(kind)
    return kind


def test_what_is_nested_deep_is_read_back(local: Callable[[], str]) -> None:
    uri = local()
    table = pa.table({"a": pa.nulls(1, nested(49))})
    write_table(table, uri)
    assert read_table(uri).equals(table)


def test_a_type_without_a_form_in_parquet_is_named(local: Callable[[], str]) -> None:
    uri = local()
    for odd in (
        pa.array([{}], pa.struct([])),
        pa.array([[]], pa.list_(pa.int8(), 0)),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pa.nulls(1, nested(50)),
    ):
        with pytest.raises(InvalidData, match="column 'odd'"):
            write_table(pa.table({"fine": [1], "odd": odd}), uri)
        assert not exists(uri)


@times(0.4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_any_table_comes_back_with_its_content(local: Callable[[], str], table: pa.Table) -> None:
    uri = local()
    write_table(table, uri)
    back = read_table(uri)
    assert hash_table(back) == hash_table(table)
    assert back.schema.types == table.schema.types


@pytest.mark.parametrize("rows", [0, 3])
def test_categoricals_come_back_with_their_categories(local: Callable[[], str], rows: int) -> None:
    frame = pd.DataFrame(
        {
            "text": pd.Categorical(["b", "a", None], categories=["z", "b", "a"]),
            "ordered": pd.Categorical(["b", "a", "b"], categories=["z", "b", "a"], ordered=True),
            "number": pd.Categorical([3, 1, 3], categories=[3, 2, 1]),
            "cut": pd.cut(pd.Series([1, 2, 9]), [0, 3, 10]),
        }
    ).head(rows)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    uri = local()
    write_table(table, uri)
    back = read_table(uri)
    assert hash_table(back) == hash_table(table)
    pd.testing.assert_frame_equal(back.drop_columns("cut").to_pandas(), frame.drop(columns="cut"))
    assert (
        hash_table(read_table(uri, ["number"])).columns["number"]
        == (hash_table(table).columns["number"])
    )


def test_a_categorical_without_categories_comes_back(local: Callable[[], str]) -> None:
    frame = pd.DataFrame({"a": pd.Categorical([None, None, None])})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    chunks = pa.concat_tables([table[:1], table[1:]])
    uri = local()
    write_table(chunks, uri)
    assert hash_table(read_table(uri)) == hash_table(chunks) == hash_table(table)


@pytest.mark.parametrize("rows", [0, 3])
def test_polars_categories_come_back(local: Callable[[], str], rows: int) -> None:
    frame = pl.DataFrame(
        {
            "enum": pl.Series(["b", "a", None], dtype=pl.Enum(["z", "b", "a"])),
            "categorical": pl.Series(["b", None, "a"], dtype=pl.Categorical),
        }
    ).head(rows)
    uri = local()
    write_table(frame.to_arrow(), uri)
    back = read_table(uri)
    assert hash_table(back) == hash_table(frame.to_arrow())
    read = pl.DataFrame(back)
    assert read.equals(frame)
    assert read.schema == frame.schema


def test_an_encoding_is_not_stored(local: Callable[[], str]) -> None:
    words = pa.array(["b", "a", None])
    encoded = pa.table(
        {
            "dictionary": words.dictionary_encode(),
            "runs": pa.RunEndEncodedArray.from_arrays([2, 3], ["x", "y"]),
            "nested": pa.ListArray.from_arrays([0, 1, 1, 3], words.dictionary_encode()),
        }
    )
    uri = local()
    write_table(encoded, uri)
    back = read_table(uri)
    assert back.schema.types == [pa.string(), pa.string(), pa.list_(pa.string())]
    assert hash_table(back) == hash_table(encoded)


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("s"),
        pa.timestamp("s", "Europe/Berlin"),
        pa.timestamp("ns"),
        pa.time32("s"),
        pa.time32("ms"),
        pa.date64(),
        pa.duration("s"),
        pa.float16(),
        pa.string_view(),
        pa.list_view(pa.int8()),
        pa.list_(pa.timestamp("s")),
        pa.struct([("x", pa.date64())]),
    ],
    ids=str,
)
def test_types_that_parquet_changes_come_back(local: Callable[[], str], kind: pa.DataType) -> None:
    values: list[object] = [None, None]
    if pa.types.is_list(kind) or pa.types.is_list_view(kind):
        values = [[1], None]
    elif pa.types.is_struct(kind):
        values = [{"x": 86_400_000}, None]
    elif "string" in str(kind):
        values = ["a", None]
    else:
        values = [86_400_000 if kind == pa.date64() else 1, None]
    table = pa.table({"a": pa.array(values, kind)})
    uri = local()
    write_table(table, uri)
    back = read_table(uri)
    assert hash_table(back) == hash_table(table)
    assert back["a"].to_pylist() == table["a"].to_pylist()


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # clients to their own
@pytest.mark.parametrize("spooled", [64 << 20, 1000])
def test_a_big_table_is_streamed(
    new: Callable[[], str], monkeypatch: pytest.MonkeyPatch, spooled: int
) -> None:
    monkeypatch.setattr("afresh.storage.artifacts.store._BUFFERED", 0)
    monkeypatch.setattr("afresh.storage.artifacts.files._SPOOLED", spooled)
    table = pa.table({"a": range(200_000), "b": ["text"] * 200_000})
    uri = new()
    stored = write_table(table, uri)
    assert read_table(uri, verify_hash=stored.hash).equals(table)
    assert stored.bytes == len(read_bytes(uri))
