"""Streams of a real daemon: appended, read by their new rows, and what is bad tried again."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.ports import free_port
from support.living import Living, until

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import webhook

class Order(pa.DataFrameModel):
    id: int = pa.Field(ge=0)
    item: str

class Count(pa.DataFrameModel):
    n: int

orders = source("orders", webhook("/hooks/orders"), schema=Order)

@asset(new="orders")
def big(orders: DataFrame[Order]) -> DataFrame[Order]:
    print("read", len(orders))
    return orders[orders.id >= 10].reset_index(drop=True)

@asset(new="big")
def items(big: DataFrame[Order]) -> pd.DataFrame:
    return pd.DataFrame({"item": big.item.str.upper()})

@asset
def count(orders: DataFrame[Order]) -> DataFrame[Count]:
    return pd.DataFrame({"n": [len(orders)]})
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Living:
    monkeypatch.setenv("ORDERS_SECRET", "secret")
    return Living.make(tmp_path / "p", PIPELINE, f'http = "127.0.0.1:{free_port()}"\n')


def emit(project: Living, *records: Any) -> None:
    lines = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in records)
    project.run("emit", "orders", "--lines", "--data", lines)
    project.run("wait")


def order(number: int, item: str = "tea") -> dict[str, Any]:
    return {"id": number, "item": item, "other": [1]}


def test_rows_are_appended_and_read_once_across_restarts(project: Living) -> None:
    with project.running():
        emit(project, order(1), order(10, "cup"))
        emit(project, order(11, "pot"))
        emit(project, order(2))
    with project.running():
        emit(project, order(12, "jug"), order(13, "mug"))
        assert [r["id"] for r in project.json("read", "orders")] == [1, 10, 11, 2, 12, 13]
        assert [r["id"] for r in project.json("read", "orders@2")] == [1, 10, 11]
        assert [r["id"] for r in project.json("read", "big")] == [10, 11, 12, 13]
        assert [r["item"] for r in project.json("read", "items")] == ["CUP", "POT", "JUG", "MUG"]
        assert project.json("read", "count") == [{"n": 6}]
        versions = project.json("versions", "orders")
        assert [(v["start_row"], v["end_row"], v["rows"]) for v in versions] == [
            (0, 6, 6), (0, 4, 4), (0, 3, 3), (0, 2, 2),
        ]  # fmt: skip
        assert [v["version"] for v in project.json("versions", "big")] == [3, 2, 1]
        edges = project.json("lineage", "items")["edges"]
        assert ("orders@4", "big@3") in {(e["from"], e["to"]) for e in edges}
        runs = [r for r in project.json("runs", "big") if r["state"] == "unchanged"]
        assert len(runs) == 1, "order 2 is not big"
        project.run("materialize", "big", "--force")
        project.run("wait")
        assert [r["id"] for r in project.json("read", "big")] == [10, 11, 12, 13]
        assert project.json("versions", "big")[0]["start_row"] == 4
        assert [r["item"] for r in project.json("read", "items")] == ["CUP", "POT", "JUG", "MUG"]
    project.run("verify")
    states = {row["state"] for row in project.json("status")}
    assert states == {"fresh"}


def test_bad_records_are_shown_and_tried_again_once_each(project: Living) -> None:
    with project.running():
        emit(project, order(1), "{broken", {"id": -5, "item": "x"}, {"id": 3}, order(20))
        assert [r["id"] for r in project.json("read", "orders")] == [1, 20]
        letters = project.json("rejected", "orders")
        assert [letter["state"] for letter in letters] == ["dead"] * 3
        assert letters[0]["value"] == "{broken"
        assert "-5" in letters[1]["error"]
        assert "item" in letters[2]["error"]
        done = project.run("replay", "orders", "--json", check=False)
        assert done.returncode == 1
        assert [row["state"] for row in json.loads(done.stdout)] == ["failed_again"] * 3
        text = (project.folder / "pipeline.py").read_text()
        (project.folder / "pipeline.py").write_text(text.replace("ge=0", "ge=-10"))
        place = next(r for r in project.json("rejected") if "-5" in (r["value"] or ""))["place"]
        rows = project.json("replay", "orders", "--place", place)
        assert [row["state"] for row in rows] == ["replayed"]
        assert [r["id"] for r in project.json("read", "orders")] == [1, 20, -5]
        project.run("wait")
        assert project.json("read", "count") == [{"n": 3}]
        assert len(project.json("rejected")) == 2
        assert project.run("replay", "orders", "--place", place, check=False).returncode == 2
        assert {row["state"] for row in project.json("status")} == {"fresh"}


def test_small_segments_are_merged_though_nothing_comes(project: Living) -> None:
    """At a start: that it goes on so while nothing is to do is simulated."""
    count = "select count(*) from segment where asset in ('orders', 'big')"
    with project.running():
        for number in range(6):
            emit(project, order(10 + number))
        before = project.json("versions", "orders")
        assert len(before) == 6
    with project.running():
        until(lambda: project.rows(count)[0][0] <= 6)
        assert [r["id"] for r in project.json("read", "orders@3")] == [10, 11, 12]
        assert [r["id"] for r in project.json("read", "big")] == [*range(10, 16)]
        assert project.json("versions", "orders") == before
    project.run("verify")


def test_many_small_batches_survive_kills(project: Living) -> None:
    total = 0
    for _ in range(3):
        daemon = project.start()
        try:
            for _ in range(8):
                lines = "\n".join(json.dumps(order(total + i)) for i in range(3))
                project.run("emit", "orders", "--lines", "--data", lines)
                total += 3
        finally:
            daemon.kill()
    with project.running():
        project.run("wait")
        until(lambda: len(project.json("read", "orders")) == total)
        assert [r["id"] for r in project.json("read", "orders")] == list(range(total))
        project.run("wait")
        assert [r["id"] for r in project.json("read", "big")] == list(range(10, total))
        assert project.json("read", "count") == [{"n": total}]
        segments = project.rows("SELECT asset, COUNT(*) FROM segment GROUP BY asset")
        assert all(count < 40 for _, count in segments), segments
    # A running daemon merges meanwhile.
    named = {Path(uri).name for (uri,) in project.rows("SELECT uri FROM segment")}
    named |= {Path(uri).name for (uri,) in project.rows("SELECT uri FROM garbage")}
    named |= {Path(uri).name for (uri,) in project.rows("SELECT uri FROM version")}
    there = {path.name for path in project.state.glob("artifacts/*/*/*.parquet")}
    assert there <= named, there - named
    project.run("verify")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ('@asset(new="nothing")', "found 'nothing'"),
        ('@asset(new="count", deps={"orders": "count"})', "whose versions replace each other"),
        ('@asset(new="orders", partitions="orders")', "found both"),
    ],
)
def test_what_cannot_be_read_by_new_rows_is_refused(project: Living, wrong: str, told: str) -> None:
    text = (project.folder / "pipeline.py").read_text()
    (project.folder / "pipeline.py").write_text(text.replace('@asset(new="orders")', wrong))
    done = project.run("check", check=False)
    assert done.returncode == 2
    assert told in done.stdout + done.stderr
