"""The installed command against a real daemon: what people and scripts do in a day."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.project import Project, rename_in

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
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path / "shop", PIPELINE, "workers = 2\n")


def states(project: Project) -> dict[str, str]:
    return {
        f"{row['asset']}[{row['partition']}]".removesuffix("[]"): row["state"]
        for row in project.json("status")
    }


def test_a_day_with_the_daemon(project: Project) -> None:
    with project.running():
        rename_in(project.folder / "landing" / "mon.csv", "shop,amount\na,1\nb,2\n")
        assert project.json("wait", "--timeout", "60") == {
            "settled": True,
            "failed": [],
            "blocked": [],
        }
        assert set(states(project).values()) == {"fresh"}
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
        rename_in(project.folder / "landing" / "tue.csv", "shop,amount\na,13\n")
        ended = project.run("wait", "--json", check=False)
        assert ended.returncode == 1
        assert json.loads(ended.stdout)["failed"] == ["daily[tue]"]
        assert states(project)["total"] == "blocked"
        told = json.dumps(project.json("why", "total"))
        assert "thirteen" in told
        assert "landing/tue.csv" in told
        (run,) = project.json("runs", "daily[tue]")
        assert "thirteen" in run["error"]
        log = project.run("logs", run["run"]).stdout
        assert "daily ran" in log
        assert "Traceback" in log

        # An arrival that breaks the schema holds nobody.
        rename_in(project.folder / "landing" / "tue.csv", "shop,amount\na,-1\n")
        assert project.run("wait", check=False).returncode == 1
        assert states(project)["sales[tue]"] == "failed"
        assert "tue.csv" in json.dumps(project.json("why", "sales[tue]"))

        rename_in(project.folder / "landing" / "tue.csv", "shop,amount\na,4\n")
        assert project.run("wait").returncode == 0
        assert project.json("read", "total")[0] == {"shop": "a", "amount": 5.0}
    assert project.run("verify").returncode == 0
    assert set(states(project).values()) == {"fresh"}


def test_pause_holds_back_and_resume_takes_all_at_once(project: Project) -> None:
    landing = project.folder / "landing"
    with project.running():
        rename_in(landing / "mon.csv", "shop,amount\na,1\n")
        project.run("wait")
        project.run("pause", "total")
        before = len(project.json("runs", "total"))
        for amount in (2, 3):
            rename_in(landing / "mon.csv", f"shop,amount\na,{amount}\n")
            project.run("wait")
        assert states(project)["total"] == "paused"
        assert len(project.json("runs", "total")) == before
        project.run("resume", "total")
        project.run("wait")
        assert len(project.json("runs", "total")) == before + 1
        assert project.json("read", "total") == [{"shop": "a", "amount": 3.0}]


def test_a_change_right_after_a_save_runs_the_new_code(project: Project) -> None:
    rename_in(project.folder / "landing" / "mon.csv", "shop,amount\na,1\na,2\n")
    with project.running():
        project.run("wait")
        code = (project.folder / "pipeline.py").read_text()
        (project.folder / "pipeline.py").write_text(code.replace('"sum"', '"max"'))
        project.run("materialize", "total", "--force")
        (head, *_) = project.json("versions", "total")
        assert (
            head["code_version"]
            == {row["asset"]: row["code_version"] for row in project.json("check")}["total"]
        )


def test_without_a_daemon_work_is_done_here(project: Project) -> None:
    rename_in(project.folder / "landing" / "mon.csv", "shop,amount\na,1\n")
    made = project.run("materialize", "total", "--json")
    assert "no daemon" in made.stderr
    rows = json.loads(made.stdout)
    assert [(row["asset"], row["version"], row["state"]) for row in rows] == [("total", 1, "fresh")]
    assert project.run("wait").returncode == 0
    project.run("pause", "total")
    assert states(project)["total"] == "paused"


def test_until_idle_says_ready_and_how_it_went(project: Project) -> None:
    rename_in(project.folder / "landing" / "mon.csv", "shop,amount\na,13\n")
    lines: list[dict[str, Any]] = [
        json.loads(line)
        for line in project.run("up", "--until-idle", "--json", check=False).stdout.splitlines()
    ]
    assert "ready" in {line["type"] for line in lines}
    rename_in(project.folder / "landing" / "mon.csv", "shop,amount\na,1\n")
    ended = project.run("up", "--until-idle")
    assert any(line.startswith("ready") for line in ended.stdout.splitlines())


def test_definitions_with_errors_are_refused_with_their_place(project: Project) -> None:
    (project.folder / "pipeline.py").write_text(
        PIPELINE.replace("def total(daily", "def total(dayly")
    )
    for command in ("check", "up"):
        ended = project.run(command, "--json", check=False)
        assert ended.returncode == 2
        error = json.loads(ended.stderr.splitlines()[-1])
        assert "dayly" in error["error"]
        assert "daily" in error["hint"]
        assert error["where"].startswith("pipeline.py:")


def test_events_are_followed_as_json_lines(project: Project) -> None:
    rename_in(project.folder / "landing" / "mon.csv", "shop,amount\na,1\n")
    with project.running():
        project.run("wait")
        with subprocess.Popen(
            [project.command, "events", "--follow", "--project", str(project.folder)],
            stdout=subprocess.PIPE,
            text=True,
        ) as following:
            assert following.stdout is not None
            seen = [json.loads(following.stdout.readline()) for _ in range(2)]
            rename_in(project.folder / "landing" / "tue.csv", "shop,amount\na,2\n")
            seen.append(json.loads(following.stdout.readline()))
            following.terminate()
    assert seen[-1]["uri"] == "landing/tue.csv"
    assert [row["seq"] for row in seen] == sorted(row["seq"] for row in seen)


def test_a_second_daemon_is_refused_and_names_the_first(project: Project) -> None:
    with project.running() as daemon:
        ended = project.run("up", "--json", check=False)
        assert ended.returncode == 2
        assert str(daemon.pid) in json.loads(ended.stderr.splitlines()[-1])["error"]
        assert project.json("stop") == {"stopped": True}
        assert daemon.process.wait(10) == 0


def test_with_json_an_error_is_all_that_stands_on_stderr(project: Project) -> None:
    project.run("up", "--until-idle")
    for command in (["cancel", "nope"], ["materialize", "nope"], ["sensors", "scan", "nope"]):
        done = project.run(*command, "--json", check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert set(json.loads(done.stderr)) == {"error", "hint", "where"}
