"""The main job as a user meets it, with the JSON that scripts rely on."""

import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.living import Living

pytestmark = pytest.mark.e2e

KEYS = {
    ("check",): "asset kind deps schema partitions refresh code_version",
    ("status",): "asset partition state version epoch updated_at reasons",
    (
        "versions",
        "by_carrier",
    ): "ref asset partition version fingerprint rows bytes created_at run code_version uri"
    " tags state",
    ("events",): "seq epoch sensor source partition kind uri observed_at state",
    ("runs",): "run asset partition epoch attempt state cause events started_at seconds error",
    ("sensors",): "sensor kind source state cursor lag last_event_at error",
    ("doctor",): "check state detail hint",
    ("verify",): "check state detail hint",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

PIPELINE = """
import pandas as pd
import pandera.pandas as pa
import polars as pl
import pyarrow as arrow
from pandera.typing import DataFrame
from pydantic import BaseModel
from afresh import Context, Partition, asset, source
from afresh.sensors import files

class Flight(pa.DataFrameModel):
    carrier: str
    delay: float = pa.Field(nullable=True)

class Carrier(pa.DataFrameModel):
    carrier: str = pa.Field(unique=True)
    mean: float = pa.Field(nullable=True)

class Limits(BaseModel):
    least: int = 0

flights = source("flights", files("landing/flights/{day}.csv"), schema=Flight, owner="ann")
sales = source("sales", files("landing/sales/{day}/{region}.csv", key_columns=True))
names = source("names", files("landing/names.csv"))

@asset(partitions="flights", group="daily", tags=["a"])
def daily(flights: DataFrame[Flight], day: Partition, context: Context) -> pd.DataFrame:
    context.logger.info("making %s", day)
    context.add_metadata(day=str(day), rows=len(flights))
    return pd.DataFrame({"day": [day.parts[0]], "rows": [len(flights)]})

@asset(group="all")
def by_carrier(flights: DataFrame[Flight]) -> DataFrame[Carrier]:
    return flights.groupby("carrier", as_index=False).agg(mean=("delay", "mean"))

@asset
def worst(by_carrier: DataFrame[Carrier]) -> pl.DataFrame:
    return pl.from_pandas(by_carrier).sort("mean", descending=True, nulls_last=True).head(1)

@asset
def lazy(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.group_by("carrier").len().sort("carrier")

@asset
def named(worst: arrow.Table, names: pl.DataFrame) -> arrow.Table:
    return pl.from_arrow(worst).join(names, on="carrier", how="left").to_arrow()

@asset(outputs={"low": None, "high": None})
def split(by_carrier: pd.DataFrame, limits: Limits) -> tuple[pd.DataFrame, pd.DataFrame]:
    low = by_carrier["mean"] < limits.least
    return by_carrier[low].reset_index(drop=True), by_carrier[~low].reset_index(drop=True)

@asset(partitions="sales")
def region(sales: pd.DataFrame, key: Partition) -> pd.DataFrame:
    return sales.assign(key=str(key), last=key.parts[-1])

@asset(partitions=("daily", "flights"))
def both(daily: pd.DataFrame, flights: pd.DataFrame) -> pd.DataFrame:
    return daily.assign(flights=len(flights))
"""
FIRST = "carrier,delay\nUA,2\nAA,4\nUA,\n"
SECOND = "carrier,delay\nUA,4\nB6,-9\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    settings = "[parameters.low]\nlimits = {least = 1}\n"
    made = Living.make(tmp_path_factory.mktemp("main") / "project", PIPELINE, settings)
    with made.running():
        made.land("flights/2013-01-01.csv", FIRST)
        made.land("flights/2013-01-02.csv", SECOND)
        made.land("names.csv", "carrier,name\nAA,American\nUA,United\n")
        made.land("sales/mon/east.csv", "n\n1\n")
        made.land("sales/mon/we st.csv", "n\n2\n")
        assert made.settle() == {"settled": True, "failed": [], "blocked": []}
        yield made


def test_all_is_made(project: Living) -> None:
    assert set(project.states().values()) == {"fresh"}
    assert project.read("by_carrier") == [
        {"carrier": "AA", "mean": 4.0},
        {"carrier": "B6", "mean": -9.0},
        {"carrier": "UA", "mean": 3.0},
    ]
    assert project.read("worst") == [{"carrier": "AA", "mean": 4.0}]
    assert project.read("named") == [{"carrier": "AA", "mean": 4.0, "name": "American"}]
    assert project.read("lazy") == [
        {"carrier": "AA", "len": 1},
        {"carrier": "B6", "len": 1},
        {"carrier": "UA", "len": 3},
    ]
    assert project.read("low") == [{"carrier": "B6", "mean": -9.0}]
    assert [row["carrier"] for row in project.read("high")] == ["AA", "UA"]
    assert project.read("daily[2013-01-02]") == [{"day": "2013-01-02", "rows": 2}]
    assert project.read("both[2013-01-02]") == [{"day": "2013-01-02", "rows": 2, "flights": 2}]
    assert project.read("region[mon,we st]") == [
        {"n": 2, "day": "mon", "region": "we st", "key": "mon,we st", "last": "we st"}
    ]
    assert project.read("flights[2013-01-01]")[2] == {"carrier": "UA", "delay": None}


@pytest.mark.parametrize("command", KEYS, ids=" ".join)
def test_the_keys_are_those_of_the_contract(project: Living, command: tuple[str, ...]) -> None:
    rows = project.json(*command)
    assert isinstance(rows, list)
    assert rows
    for row in rows:
        assert [key for key in KEYS[command].split() if key not in row] == []
        for key, value in row.items():
            if key.endswith("_at") and value is not None:
                assert TIME.fullmatch(value), (key, value)


def test_lineage_says_what_was_made_from_what(project: Living) -> None:
    graph = project.json("lineage", "named")
    refs = {node["ref"] for node in graph["nodes"]}
    whole = {name.partition("@")[0] for name in refs}
    assert whole >= {"named", "worst", "by_carrier", "names", "flights[2013-01-01]"}
    assert len(refs) == len(whole), "one version of each"
    read = project.json("lineage", "by_carrier")["edges"]
    days = {"flights[2013-01-01]@1", "flights[2013-01-02]@1"}
    assert {edge["from"] for edge in read} == days
    assert {*graph["nodes"][0]} >= {"ref", "asset", "partition", "version", "kind"}
    for edge in graph["edges"]:
        assert {*edge} >= {"from", "to", "via"}
        assert {edge["from"], edge["to"]} <= refs
    down = project.json("lineage", "flights[2013-01-02]", "--down")
    made = {node["asset"] for node in down["nodes"]}
    assert made == {
        "flights", "daily", "by_carrier", "worst", "named", "low", "high", "lazy", "both",
    }  # fmt: skip
    near = project.json("lineage", "named", "--depth", "1")
    assert {node["asset"] for node in near["nodes"]} == {"named", "worst", "names"}
    assert "digraph" in project.run("lineage", "named", "--as", "dot").stdout
    assert re.search("flowchart|graph", project.run("lineage", "named", "--as", "mermaid").stdout)


def test_why_leads_down_to_the_first_event(project: Living) -> None:
    answer = project.json("why", "named")
    assert answer["ref"].startswith("named@")
    assert answer["state"] == "fresh"
    for entry in answer["because"]:
        assert {*entry} >= {"kind", "ref", "event", "detail", "at"}
    events = {row["seq"]: row for row in project.json("events")}
    first = events[answer["because"][-1]["event"]]
    assert first["kind"] == "arrived"
    assert first["source"] in {"flights", "names"}, "which of them came last is the clock's affair"
    assert first["uri"] in json.dumps(answer)


def test_runs_name_their_cause_and_logs_their_output(project: Living) -> None:
    events = {row["seq"] for row in project.json("events")}
    for run in project.json("runs"):
        assert {*run["cause"]} == {"kind", "event"}
        assert run["cause"]["event"] in events
        assert run["events"] >= 1
    (run,) = project.runs("daily[2013-01-01]")
    assert "making 2013-01-01" in project.run("logs", run["run"]).stdout


def test_selections_choose(project: Living) -> None:
    def chosen(text: str) -> set[str]:
        return {row["asset"] for row in project.json("status", text)}

    assert chosen("+worst") == {"flights", "by_carrier", "worst"}
    assert chosen("1+worst") == {"by_carrier", "worst"}
    assert chosen("worst+") == {"worst", "named"}
    assert chosen("group:all") == {"by_carrier"}
    assert chosen("tag:a,daily") == {"daily"}
    assert chosen("low high") == {"low", "high"}
    assert set(project.states("daily[2013-01-0*]")) == {"daily[2013-01-01]", "daily[2013-01-02]"}
    everything = {row["asset"] for row in project.json("status")}
    assert chosen("!worst") == everything - {"worst"}


def test_reading_in_other_forms(project: Living, tmp_path: Path) -> None:
    csv = project.run("read", "worst", "--as", "csv").stdout
    assert csv.splitlines()[0].replace('"', "") == "carrier,mean"
    target = tmp_path / "worst.parquet"
    project.run("read", "worst@1", "--as", "parquet", "-o", str(target))
    assert target.read_bytes()[:4] == b"PAR1"
    assert len(project.json("read", "by_carrier", "--limit", "1")) == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("status", "wrost"), "worst"),
        (("read", "worst@99"), "99"),
        (("read", "daily[nope]"), "nope"),
        (("why", "nothing"), "nothing"),
        (("materialize", "wrost"), "worst"),
        (("logs", "norun"), "norun"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_a_wrong_call_exits_with_two(project: Living, command: tuple[str, ...], said: str) -> None:
    done = project.run(*command, "--json", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    problem = json.loads(done.stderr)
    assert {*problem} == {"error", "hint", "where"}
    assert said in problem["error"] + problem["hint"]


def test_equal_content_runs_nothing_downstream(project: Living) -> None:
    project.land("flights/twice.csv", FIRST)
    project.settle()
    before = {row["run"] for row in project.json("runs")}
    project.land("flights/twice.csv", FIRST)
    project.settle()
    after = [row for row in project.json("runs") if row["run"] not in before]
    assert [(row["asset"], row["state"]) for row in after] == [("flights", "unchanged")]
    # Other bytes, the same table: quoted, other line ends, compressed.
    (project.folder / "landing/flights/twice.csv").unlink()
    quoted = '"carrier","delay"\r\n"UA",2.0\r\n"AA",4.0\r\n"UA",\r\n'
    project.land("flights/twice.csv.gz", gzip.compress(quoted.encode()))
    project.settle()
    new = [row for row in project.json("runs") if row["run"] not in before]
    assert {row["asset"] for row in new} == {"flights"}, "early cutoff (P4)"
    assert project.versions("flights[twice]") == [1]
    assert project.status("daily[twice]")["state"] == "fresh"


def test_a_second_daemon_is_refused_by_name(project: Living) -> None:
    done = project.run("up", "--json", check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    (pid,) = re.findall(r"(?:pid|process) (\d+)", json.loads(done.stderr)["error"])
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert b"up" in command
    assert str(project.folder).encode() in command


def test_the_demo_of_init_works(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    project = Living(folder)
    made = Living(tmp_path)
    done = subprocess.run([made.command, "init", str(folder)], capture_output=True, check=False)
    assert done.returncode == 0
    checked: list[dict[str, Any]] = project.json("check")
    assert [row["kind"] for row in checked].count("source") == 1
    assert project.until_idle().returncode == 0
    assert set(project.states().values()) == {"fresh"}
    again = project.until_idle()
    assert again.returncode == 0
    assert "run " not in again.stdout, "nothing is new, so nothing runs"
