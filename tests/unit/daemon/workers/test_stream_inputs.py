"""Segments of a stream as one frame: sliced, with columns that came later, held to the schema."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandera.pandas as pp
import pyarrow as pa
import pytest

from afresh.assets.errors import InvalidData
from afresh.assets.manifest import Function, Input, Manifest, Output, Sensor, Source
from afresh.assets.schema import describe
from afresh.daemon.workers.inputs import read_inputs
from afresh.daemon.workers.live import LiveFunction
from afresh.daemon.workers.task import Part, TaskInput
from afresh.storage.artifacts.store import write_table


class Order(pp.DataFrameModel):
    id: int = pp.Field(ge=0)
    item: str = pp.Field(nullable=True)


Piece = tuple[dict[str, list[Any]], int, int, str]
"""A segment's columns, what is skipped and taken, its schema's version."""


def read(
    folder: Path,
    pieces: Sequence[Piece],
    columns: tuple[str, ...] = (),
    schema: Any = Order,
) -> Any:
    described = describe(Order)
    key = "s" if schema is not None else ""
    parts = []
    for number, (data, skip, take, version) in enumerate(pieces):
        stored = write_table(pa.table(data), str(folder / f"{number}.parquet"))
        made = described.version if version == "now" else version
        parts.append(Part("", 7, stored.uri, stored.hash, take, skip, take, made))
    given = Input("orders", "orders", "new", "pyarrow", columns, key)
    function = Function("f", (given,), (Output("f", "pandas"),), "c")
    live = LiveFunction(function, lambda: None, {"orders": schema}, {}, {})
    manifest = Manifest(
        "d",
        (Source("orders", Sensor("x", {}), schema=key, stream=True),),
        schemas={"s": described} if key else {},
    )

    def never(*_: Any) -> Any:
        raise AssertionError

    task = TaskInput("orders", "orders", tuple(parts))
    return read_inputs(live, (task,), manifest, {"orders": key}, never)["orders"].to_pylist()


def rows(*ids: int) -> dict[str, list[Any]]:
    return {"id": list(ids), "item": [str(number) for number in ids]}


def test_slices_of_segments_are_one_frame(tmp_path: Path) -> None:
    pieces = [(rows(0, 1, 2), 2, 1, "now"), (rows(3), 0, 1, "now"), (rows(4, 5), 0, 1, "now")]
    assert [row["id"] for row in read(tmp_path, pieces)] == [2, 3, 4]


def test_no_rows_are_an_empty_frame(tmp_path: Path) -> None:
    assert read(tmp_path, [(rows(1), 0, 0, "now")]) == []


def test_a_column_that_came_later_is_null_before(tmp_path: Path) -> None:
    pieces: list[Piece] = [({"id": [1]}, 0, 1, ""), (rows(2), 0, 1, "")]
    found = read(tmp_path, pieces, columns=("id", "item"), schema=None)
    assert found == [{"id": 1, "item": None}, {"id": 2, "item": "2"}]


def test_rows_of_an_older_schema_are_held_to_the_one_in_force(tmp_path: Path) -> None:
    bad: dict[str, list[Any]] = {"id": [-1], "item": ["a"]}
    assert read(tmp_path / "trusted", [(bad, 0, 1, "now")]), "it was validated by this one"
    with pytest.raises(InvalidData, match="input 'orders'"):
        read(tmp_path / "old", [(bad, 0, 1, "before"), (rows(2), 0, 1, "now")])


def test_batches_read_without_a_schema_may_differ_in_width(tmp_path: Path) -> None:
    pieces: list[Piece] = [({"a": [value]}, 0, 1, "") for value in (1, 1.5, None)]
    assert [row["a"] for row in read(tmp_path, pieces, schema=None)] == [1.0, 1.5, None]
