"""Batches of records become a segment; what is bad is put aside, record by record."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pandera.polars as pp
import polars as pl
import pytest

from afresh.assets.errors import UnreadableData
from afresh.assets.manifest import Manifest, Sensor, Source
from afresh.assets.schema import describe
from afresh.daemon.workers.ingest_stream import ingest_stream
from afresh.daemon.workers.live import LiveSource
from afresh.daemon.workers.merging import merge_segments
from afresh.daemon.workers.task import Merge, Part, RecordBatch, Result, Target, Task, Written
from afresh.sensors.records import Record, decode_records, encode_records
from afresh.storage.artifacts.store import read_table


class Order(pa.DataFrameModel):
    id: int = pa.Field(ge=0)
    item: str
    price: float = pa.Field(nullable=True)


class Strict(pa.DataFrameModel):
    id: int

    class Config:
        strict = True


class Unique(pa.DataFrameModel):
    id: int = pa.Field(unique=True)


class Whole(pa.DataFrameModel):
    id: int

    @pa.dataframe_check
    @classmethod
    def few(cls, frame: Any) -> bool:
        return len(frame) < 3


class Keyed(pa.DataFrameModel):
    id: int
    key: int
    timestamp: pd.DatetimeTZDtype = pa.Field(dtype_kwargs={"unit": "ns", "tz": "UTC"})


class Polars(pp.DataFrameModel):
    id: int = pp.Field(ge=0)


class Workbench:
    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def read(
        self, *batches: Sequence[Any], schema: Any = Order, staged: bool = False, **source: Any
    ) -> Result:
        self.count += 1
        key = "s" if schema is not None else ""
        manifest = Manifest("d", schemas={"s": describe(schema)} if key else {})
        declared = Source("orders", Sensor("x", {}), schema=key, stream=True, **source)
        made = []
        for number, values in enumerate(batches):
            data = encode_records([value if isinstance(value, Record) else _record(value)
                                   for value in values])  # fmt: skip
            path = self.folder / f"staged{number}"
            if staged:
                path.write_bytes(data)
            made.append(
                RecordBatch(number, f"x://{number}", b"" if staged else data,
                            str(path) if staged else "")
            )  # fmt: skip
        target = Target("orders", str(self.folder / "a" / f"{self.count}.parquet"))
        task = Task("r", "ingest", "orders", "", 1, (target,), batches=tuple(made))
        begun: list[int] = []
        result = ingest_stream(
            task, LiveSource(declared, schema), manifest, lambda: begun.append(1)
        )
        assert begun == [1]
        return result


def _record(value: Any) -> Record:
    if isinstance(value, dict):
        return Record(json.dumps(value).encode())
    return Record(value)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def rows(result: Result) -> list[dict[str, Any]]:
    (output,) = result.outputs
    assert isinstance(output, Written)
    found: list[dict[str, Any]] = read_table(output.uri, verify_hash=output.hash).to_pylist()
    assert output.rows == len(found)
    return found


def reasons(result: Result) -> dict[tuple[int, int], str]:
    return {(letter.seq, letter.number): letter.reason for letter in result.dead}


def order(number: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "item": "tea", "price": 1.5, **more}


@pytest.mark.parametrize("staged", [False, True])
def test_all_batches_become_one_segment_in_order(bench: Workbench, staged: bool) -> None:
    result = bench.read([order(1), order(2)], [], [order(3)], staged=staged)
    assert [row["id"] for row in rows(result)] == [1, 2, 3]
    assert (result.dead, result.emptied) == ((), ())


def test_bad_records_are_put_aside_with_place_and_reason(bench: Workbench) -> None:
    bad = Record(b"{no", offset=17, channel=3)
    result = bench.read(
        [order(1), bad, order(-2), order(2)],
        [order("x"), {"id": 4}],
        [None, b"", b"7", order(5)],
    )
    assert [row["id"] for row in rows(result)] == [1, 2, 5]
    found = reasons(result)
    assert set(found) == {(0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)}
    assert "JSON" in found[0, 1]
    assert "'id'" in found[0, 2]
    assert "-2" in found[0, 2]
    assert "int64" in found[1, 0]
    assert "'item'" in found[1, 1]
    assert "tombstone" in found[2, 0]
    first = next(letter for letter in result.dead if letter.number == 1)
    assert json.loads(first.place) == {"uri": "x://0", "channel": 3, "offset": 17}
    assert decode_records(first.record) == [bad]
    assert result.emptied == (1,)


class Deleted(pa.DataFrameModel):
    key: str
    id: pd.Int64Dtype = pa.Field(nullable=True)
    item: str = pa.Field(nullable=True)


def test_tombstones_may_be_rows_in_their_places(bench: Workbench) -> None:
    records = [
        Record(b'{"id": 1, "item": "tea"}', b"a"),
        Record(None, b"a"),
        Record(b'{"id": 2, "item": "milk"}', b"b"),
        Record(b"poison", b"c"),
        Record(None, b"d"),
    ]
    asked = {"columns": "key", "tombstones": "row"}
    result = bench.read(records[:3], records[3:], schema=Deleted, options=asked)
    assert rows(result) == [
        {"key": "a", "id": 1, "item": "tea"},
        {"key": "a", "id": None, "item": None},
        {"key": "b", "id": 2, "item": "milk"},
        {"key": "d", "id": None, "item": None},
    ]
    assert set(reasons(result)) == {(1, 0)}
    alone = bench.read(records[1:2], schema=Deleted, options=asked)
    assert rows(alone) == [{"key": "a", "id": None, "item": None}]


def test_tombstones_are_dead_letters_where_a_schema_lets_no_field_be_null(
    bench: Workbench,
) -> None:
    result = bench.read([None, order(1)], options={"tombstones": "row"})
    assert [row["id"] for row in rows(result)] == [1]
    assert "Expected a value in column" in reasons(result)[0, 0]
    nothing = bench.read([None], schema=None, options={"tombstones": "row"})
    assert "a tombstone" in reasons(nothing)[0, 0]


def test_without_a_good_record_nothing_is_written(bench: Workbench) -> None:
    result = bench.read([order(-1)], [b"x"])
    assert result.outputs == ()
    assert result.emptied == (0, 1)
    assert not list((bench.folder).glob("a/*"))
    empty = bench.read([], [])
    assert (empty.outputs, empty.dead, empty.emptied) == ((), (), ())


def test_fields_beyond_the_schema_are_left_out_or_refused(bench: Workbench) -> None:
    (row,) = rows(bench.read([order(1, more=[1], other="x")]))
    assert set(row) == {"id", "item", "price"}
    result = bench.read([{"id": 1}, {"id": 2, "more": 3}], schema=Strict)
    assert rows(result) == [{"id": 1}]
    assert "more" in reasons(result)[0, 1] or "unexpected" in reasons(result)[0, 1]


def test_a_field_that_may_be_absent_is_null(bench: Workbench) -> None:
    result = bench.read([{"id": 1, "item": "a"}, {"id": 2, "item": "b"}])
    assert [row["price"] for row in rows(result)] == [None, None]


def test_of_values_that_must_differ_both_are_bad(bench: Workbench) -> None:
    result = bench.read([{"id": 1}, {"id": 2}, {"id": 1}], schema=Unique)
    assert rows(result) == [{"id": 2}]
    assert set(reasons(result)) == {(0, 0), (0, 2)}


def test_what_no_single_record_broke_puts_all_aside(bench: Workbench) -> None:
    result = bench.read([{"id": 1}, {"id": 2}, {"id": 3}], schema=Whole)
    assert result.outputs == ()
    assert len(result.dead) == 3
    assert len(rows(bench.read([{"id": 1}], schema=Whole))) == 1


def test_a_polars_schema_finds_its_rows(bench: Workbench) -> None:
    assert pl.Int64() is not None
    result = bench.read([{"id": 1}, {"id": -1}, {"id": 2}], schema=Polars)
    assert rows(result) == [{"id": 1}, {"id": 2}]
    assert set(reasons(result)) == {(0, 1)}


def test_without_a_schema_types_are_inferred(bench: Workbench) -> None:
    result = bench.read([{"a": 1, "b": "x"}, {"a": 2}], schema=None)
    assert rows(result) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_without_a_schema_objects_without_fields_are_put_aside(bench: Workbench, kind: str) -> None:
    result = bench.read([{}, {}], schema=None, format=kind)
    assert result.outputs == ()
    assert all("found {}" in reason for reason in reasons(result).values())
    assert len(reasons(result)) == 2
    told = bench.read([{}], schema=None, format=kind, options={"columns": "offset"})
    assert rows(told) != []


def test_a_message_of_several_lines_is_published_as_a_whole_or_not(bench: Workbench) -> None:
    good, bad = b'{"id": 1}\n{"id": 2}\n', b'{"id": 3}\n{"id": "x"}'
    half = b'{"id": 4}\n{"id": -4}'
    result = bench.read([good, bad, half, b'{"id": 5}'], schema=Polars, format="jsonl")
    assert [row["id"] for row in rows(result)] == [1, 2, 5]
    assert set(reasons(result)) == {(0, 1), (0, 2)}


def test_places_are_columns_if_asked(bench: Workbench) -> None:
    record = Record(b'{"id": 1}', b"k\xff", (("h", b"v"), ("n", None)), 1_700_000_000_000, 4, 9)
    options = {"columns": "key,headers,timestamp,offset,partition"}
    (row,) = rows(bench.read([record], schema=None, options=options))
    assert row["key"] == "k\\xff"
    assert json.loads(row["headers"]) == [["h", "v"], ["n", None]]
    assert row["timestamp"].isoformat() == "2023-11-14T22:13:20+00:00"
    assert (row["offset"], row["partition"]) == (9, 4)


def test_a_place_that_its_column_cannot_hold_costs_its_record_alone(bench: Workbench) -> None:
    seconds = 1_700_000_000
    records = [
        Record(b'{"id": 1}', b"7", timestamp_ms=seconds * 1000),
        Record(b'{"id": 2}', b"x", timestamp_ms=seconds * 1000),
        Record(b'{"id": 3}', b"8", timestamp_ms=seconds * 1_000_000),  # as microseconds, by mistake
        Record(b'{"id": 4}', b"9", timestamp_ms=seconds * 1000),
    ]
    options = {"columns": "key,timestamp"}
    result = bench.read(records, schema=Keyed, options=options)
    assert [(row["id"], row["key"]) for row in rows(result)] == [(1, 7), (4, 9)]
    assert reasons(result) == {
        (0, 1): "Expected int64, found 'x' in column 'key'",
        (0, 2): "Expected timestamp[ns, tz=UTC], found 1700000000000000 in column 'timestamp'",
    }
    result = bench.read(records[1:2], schema=Keyed, options=options)
    assert (result.outputs, result.emptied) == ((), (0,))


def test_batches_that_are_not_there_are_no_dead_letters() -> None:
    with pytest.raises(UnreadableData, match="records of event 0"):
        ingest_stream(
            Task("r", "ingest", "o", "", 1, (), batches=(RecordBatch(0, staged="/nowhere/x"),)),
            LiveSource(Source("o", Sensor("x", {}), stream=True), None),
            Manifest("d"),
            lambda: None,
        )


def test_segments_are_merged_as_they_lie(bench: Workbench) -> None:
    outputs = [bench.read([order(i)]).outputs[0] for i in range(3)]
    parts = tuple(
        Part("", 0, output.uri, output.hash, 1) for output in outputs if isinstance(output, Written)
    )
    uri = str(bench.folder / "a" / "merged.parquet")
    (merged,) = merge_segments([Merge("orders", uri, parts)])
    assert [row["id"] for row in read_table(uri, None, merged.hash).to_pylist()] == [0, 1, 2]
    assert merged.rows == 3
    absent = Part("", 0, str(bench.folder / "none"), "", 1)
    assert merge_segments([Merge("orders", uri + "2", (absent, *parts))]) == ()
