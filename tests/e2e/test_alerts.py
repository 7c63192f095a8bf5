"""Alerts through a command: once on the first failure, once on recovery, to the owner, with why."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from support.living import Living, until

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import files

class Row(pa.DataFrameModel):
    n: int

rows = source("rows", files("landing/{k}.csv"), schema=Row, owner="ann")

@asset(owner="bob")
def checked(rows: DataFrame[Row]) -> pd.DataFrame:
    if (rows["n"] < 0).any():
        raise ValueError("negative n")
    return rows
"""
NOTIFIER = """
import sys
with open(sys.argv[1], "a") as file:
    file.write(sys.stdin.read())
"""


def _alerts(told: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where the command appends what it is given."""
    return tmp_path / "told"


@pytest.fixture
def project(tmp_path: Path, told: Path) -> Living:
    script = tmp_path / "notifier.py"
    script.write_text(NOTIFIER)
    command = json.dumps([sys.executable, str(script), str(told)])
    settings = f'[[alerts]]\nkind = "command"\ncommand = {command}\n'
    return Living.make(tmp_path / "project", PIPELINE, settings)


def test_once_on_failure_and_once_on_recovery(project: Living, told: Path) -> None:
    with project.running():
        project.land("a.csv", "n\n1\n")
        assert not project.settle()["failed"]
        project.land("a.csv", "n\n-1\n")
        project.settle()
        until(lambda: len(_alerts(told)) == 1, "the failure is told")
        project.land("b.csv", "n\n-2\n")
        project.settle()
        project.land("c.csv", "n\nmany\n")
        project.settle()
        until(lambda: len(_alerts(told)) == 2, "another subject is told")
    first, second = _alerts(told)
    assert (first["subject"], first["state"], first["owner"]) == ("checked", "failed", "bob")
    assert "negative n" in first["error"]
    assert first["why"]
    assert (second["subject"], second["state"], second["owner"]) == ("rows[c]", "failed", "ann")

    with project.running():
        assert len(_alerts(told)) == 2, "a restart tells nothing again"
        project.land("a.csv", "n\n1\n")
        project.land("b.csv", "n\n2\n")
        project.land("c.csv", "n\n3\n")
        assert project.settle() == {"settled": True, "failed": [], "blocked": []}
        until(lambda: len(_alerts(told)) == 4, "the recoveries are told")
        project.land("a.csv", "n\n5\n")
        project.settle()
    recovered = {(alert["subject"], alert["state"]) for alert in _alerts(told)[2:]}
    assert recovered == {("checked", "recovered"), ("rows[c]", "recovered")}


def test_a_sensor_that_fails_and_recovers(project: Living, told: Path) -> None:
    with project.running():
        for number in range(4):
            project.land(f"{number}.csv", f"n\n{number}\n")
        project.settle()
        landing = project.folder / "landing"
        away = project.folder / "away"
        landing.rename(away)
        until(lambda: project.json("sensors")[0]["state"] == "failed", "the folder is gone")
        until(lambda: len(_alerts(told)) == 1, "the failure is told")
        assert set(project.states().values()) == {"fresh"}, "nothing counts as deleted"
        away.rename(landing)
        until(lambda: project.json("sensors")[0]["state"] == "watching", "it is back")
        until(lambda: len(_alerts(told)) == 2, "the recovery is told")
    first, last = _alerts(told)
    assert (first["subject"], first["state"], first["owner"]) == ("sensor rows", "failed", "ann")
    assert (last["subject"], last["state"]) == ("sensor rows", "recovered")
    assert project.rows("select count(*) from event where kind = 'deleted'") == [(0,)]


@pytest.mark.parametrize("command", [("up", "--until-idle"), ("materialize", "checked")])
def test_what_fails_last_is_told_before_the_end(tmp_path: Path, command: tuple[str, ...]) -> None:
    told, script = tmp_path / "told", tmp_path / "notifier.py"
    script.write_text("import time\ntime.sleep(1)\n" + NOTIFIER)
    notifier = json.dumps([sys.executable, str(script), str(told)])
    settings = f'[[alerts]]\nkind = "command"\ncommand = {notifier}\n'
    project = Living.make(tmp_path / "project", PIPELINE, settings)
    (project.folder / "landing" / "a.csv").write_text("n\n-1\n")
    assert project.run(*command, check=False).returncode == 1
    (alert,) = _alerts(told)
    assert (alert["subject"], alert["state"]) == ("checked", "failed")


def test_what_a_kill_cuts_off_is_told_by_the_next_daemon(tmp_path: Path) -> None:
    told, asked, script = tmp_path / "told", tmp_path / "asked", tmp_path / "notifier.py"
    script.write_text(
        f"import os, pathlib, sys, time\nasked = pathlib.Path({str(asked)!r})\n"
        "daemon = os.getppid()\n"
        "if not asked.exists():\n"
        "    asked.touch()\n"
        "    while os.getppid() == daemon:\n"
        "        time.sleep(0.02)\n"
        "    sys.exit(1)\n" + NOTIFIER
    )
    notifier = json.dumps([sys.executable, str(script), str(told)])
    settings = f'[[alerts]]\nkind = "command"\ncommand = {notifier}\n'
    project = Living.make(tmp_path / "project", PIPELINE, settings)
    with project.running() as daemon:
        project.land("a.csv", "n\n-1\n")
        until(asked.exists, "the notifier is at work")
        daemon.kill()
    with project.running():
        until(lambda: _alerts(told), "the failure is told")
        project.land("a.csv", "n\n1\n")
        project.settle()
        until(lambda: len(_alerts(told)) == 2, "the recovery is told")
    assert [alert["state"] for alert in _alerts(told)] == ["failed", "recovered"]
