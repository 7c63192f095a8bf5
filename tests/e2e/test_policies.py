"""Refresh policies and schedules in a project: left behind, let run, and killed in between."""

import json
from pathlib import Path

import pytest

from support.living import until
from support.project import Project, rename_in

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import all_new, asset, cron, debounce, every, freshness, manual, source
from afresh.sensors import files

ticks = source("ticks", every("500ms", missed="all"))
rows = source("rows", files("landing/rows.csv"))
prices = source("prices", files("landing/prices.csv"))

@asset(refresh=manual())
def model(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"n": [len(rows)]})

@asset
def report(rows: pd.DataFrame, model: pd.DataFrame) -> pd.DataFrame:
    return model.assign(rows=len(rows))

@asset(refresh=every("1s"))
def hourly(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"n": [len(rows)]})

@asset(refresh=cron("0 6 * * *", tz="Europe/Berlin"))
def nightly(rows: pd.DataFrame) -> pd.DataFrame:
    return rows

@asset(refresh=all_new("rows", "prices"))
def valued(rows: pd.DataFrame, prices: pd.DataFrame) -> pd.DataFrame:
    return rows

@asset(refresh=debounce(quiet="200ms"))
def calm(rows: pd.DataFrame) -> pd.DataFrame:
    return rows

@asset(refresh=freshness("1s"))
def recent(rows: pd.DataFrame) -> pd.DataFrame:
    return rows
"""


def put(project: Project, name: str, count: int) -> None:
    text = "a\n" + "".join(f"{number}\n" for number in range(count))
    rename_in(project.folder / "landing" / f"{name}.csv", text)


def units(project: Project) -> dict[str, dict[str, object]]:
    return {unit["asset"]: unit for unit in project.json("status")}


def ticks(project: Project) -> list[int]:
    events = [each for each in project.json("events") if each["source"] == "ticks"]
    assert {each["kind"] for each in events} == {"tick"}
    return [int(each["uri"].rpartition("/")[2]) for each in events]


def test_policies_leave_behind_and_let_run(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "p", PIPELINE)
    checked = {each["asset"]: each["refresh"] for each in project.json("check")}
    assert checked["model"] == "manual"
    assert checked["report"] == "eager"
    assert checked["nightly"] == 'cron("0 6 * * *", tz="Europe/Berlin")'
    daemon = project.start()
    try:
        put(project, "rows", 1)
        until(lambda: units(project)["recent"]["version"] == 1)
        until(lambda: units(project)["hourly"]["version"] == 1)
        found = units(project)
        assert (found["calm"]["state"], found["calm"]["version"]) == ("fresh", 1)
        assert (found["model"]["state"], found["model"]["version"]) == ("fresh", None)
        assert found["report"]["state"] == "blocked"
        assert found["valued"]["state"] == "missing"
        assert "refresh=manual" in json.dumps(found["model"]["reasons"])
        put(project, "prices", 1)
        until(lambda: units(project)["valued"]["version"] == 1)
        project.run("materialize", "model")
        until(lambda: units(project)["report"]["version"] == 1)
        put(project, "rows", 2)
        until(lambda: units(project)["hourly"]["version"] == 2)
        found = units(project)
        assert found["model"]["version"] == 1
        assert found["nightly"]["version"] is None
        assert found["valued"]["version"] == 1
        assert found["report"]["version"] == 2
        why = json.dumps(project.json("why", "hourly"))
        assert "tick" in why
    finally:
        daemon.kill()
    with project.running():
        until(lambda: len(ticks(project)) > 6)
        found = units(project)
        assert found["model"]["version"] == 1
        assert found["nightly"]["version"] is None
        project.run("materialize", "nightly")
        assert units(project)["nightly"]["version"] == 1
        numbers = ticks(project)
        assert numbers == list(range(1, len(numbers) + 1))
