"""The installed command against a real daemon: what people and scripts do in a day."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.living import Living
from support.processes import within_block

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import files

class Sale(pa.DataFrameModel):
    shop: str
    amount: float = pa.Field(ge=0)

sales = source("sales", files("landing/{day}.csv"), schema=Sale)

@asset(partitions="sales")
def daily(sales: DataFrame[Sale]) -> DataFrame[Sale]:
    print("daily ran")
    if (sales["amount"] == 13).any():
        raise ValueError("thirteen")
    return sales

@asset
def total(daily: DataFrame[Sale]) -> DataFrame[Sale]:
    return daily.groupby("shop", as_index=False).agg(amount=("amount", "sum"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Living:
    return Living.make(tmp_path / "shop", PIPELINE, "workers = 2\n")


def test_a_day_with_the_daemon(project: Living) -> None:
    with project.running():
        project.land("mon.csv", "shop,amount\na,1\nb,2\n")
        assert project.settle() == {"settled": True, "failed": [], "blocked": []}
        assert set(project.states().values()) == {"fresh"}
        assert project.json("read", "total") == [
            {"shop": "a", "amount": 1.0},
            {"shop": "b", "amount": 2.0},
        ]

        tree = project.json("lineage", "total")
        assert {(edge["from"], edge["to"]) for edge in tree["edges"]} == {
            ("sales[mon]@1", "daily[mon]@1"),
            ("daily[mon]@1", "total@1"),
        }
        because = project.json("why", "total")["because"]
        assert because[-1]["kind"] == "event"
        assert "landing/mon.csv" in because[-1]["detail"]

        # A function fails: what reads it is blocked, and all say why.
        project.land("tue.csv", "shop,amount\na,13\n")
        ended = project.run("wait", "--json", check=False)
        assert ended.returncode == 1
        assert json.loads(ended.stdout)["failed"] == ["daily[tue]"]
        assert project.states()["total"] == "blocked"
        told = json.dumps(project.json("why", "total"))
        assert "thirteen" in told
        assert "landing/tue.csv" in told
        (run,) = project.json("runs", "daily[tue]")
        assert "thirteen" in run["error"]
        log = project.run("logs", run["run"]).stdout
        assert "daily ran" in log
        assert "Traceback" in log

        # An arrival that breaks the schema holds nobody.
        project.land("tue.csv", "shop,amount\na,-1\n")
        assert project.run("wait", check=False).returncode == 1
        assert project.states()["sales[tue]"] == "failed"
        assert "tue.csv" in json.dumps(project.json("why", "sales[tue]"))

        project.land("tue.csv", "shop,amount\na,4\n")
        assert project.run("wait").returncode == 0
        assert project.json("read", "total")[0] == {"shop": "a", "amount": 5.0}
    assert project.run("verify").returncode == 0
    assert set(project.states().values()) == {"fresh"}


def test_until_idle_says_ready_and_how_it_went(project: Living) -> None:
    project.land("mon.csv", "shop,amount\na,13\n")
    failed = project.run("up", "--until-idle", "--json", check=False)
    assert failed.returncode == 1
    lines: list[dict[str, Any]] = [json.loads(line) for line in failed.stdout.splitlines()]
    assert "ready" in {line["type"] for line in lines}
    runs = {(line["asset"], line["state"]) for line in lines if line["type"] == "run"}
    assert {("sales", "succeeded"), ("daily", "failed")} <= runs
    project.land("mon.csv", "shop,amount\na,1\n")
    ended = project.until_idle()
    assert ended.returncode == 0
    assert any(line.startswith("ready") for line in ended.stdout.splitlines())
    assert "total@1 succeeded" in ended.stdout


def test_events_are_followed_as_json_lines(project: Living) -> None:
    project.land("mon.csv", "shop,amount\na,1\n")
    with project.running():
        project.run("wait")
        follower = subprocess.Popen(
            [project.command, "events", "--follow", "--project", str(project.folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with within_block(follower) as following:
            assert following.stdout is not None
            seen = [json.loads(following.stdout.readline()) for _ in range(2)]
            project.land("tue.csv", "shop,amount\na,2\n")
            seen.append(json.loads(following.stdout.readline()))
    assert seen[-1]["uri"] == "landing/tue.csv"
    assert [row["seq"] for row in seen] == sorted(row["seq"] for row in seen)


def test_with_json_an_error_is_all_that_stands_on_stderr(project: Living) -> None:
    project.run("up", "--until-idle")
    for command in (["cancel", "nope"], ["materialize", "nope"], ["sensors", "scan", "nope"]):
        done = project.run(*command, "--json", check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert set(json.loads(done.stderr)) == {"error", "hint", "where"}
