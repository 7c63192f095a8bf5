"""Stopping, and commands while no daemon runs."""

import json
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.living import Living

pytestmark = pytest.mark.e2e

PIPELINE = """
import time
from pathlib import Path
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

rows = source("rows", files("landing/{k}.csv"))

@asset(partitions="rows")
def slow(rows: pd.DataFrame) -> pd.DataFrame:
    while not Path(GATE).exists():
        time.sleep(0.01)
    return rows

@asset
def after(slow: pd.DataFrame) -> pd.DataFrame:
    return slow
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def project(tmp_path: Path, gate: Path) -> Living:
    return Living.make(tmp_path / "project", f"GATE = {str(gate)!r}\n{PIPELINE}", "workers = 1\n")


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_it_after_what_runs(
    project: Living, gate: Path, signal_: signal.Signals
) -> None:
    daemon = project.start()
    try:
        project.land("a.csv", "n\n1\n")
        project.until_state("slow[a]", "running")
        daemon.process.send_signal(signal_)
        with pytest.raises(subprocess.TimeoutExpired):
            daemon.process.wait(0.5)
        gate.touch()
        assert daemon.process.wait(60) == 0
    finally:
        daemon.kill()
    (run,) = project.runs("slow")
    assert run["state"] == "succeeded"
    assert project.until_idle().returncode == 0
    assert len(project.runs("slow")) == 1
    assert project.read("after") == [{"n": 1}]


def test_two_signals_end_it_at_once(project: Living, gate: Path) -> None:
    daemon = project.start()
    try:
        project.land("a.csv", "n\n1\n")
        project.until_state("slow[a]", "running")
        daemon.process.send_signal(signal.SIGTERM)
        began_at = time.monotonic()
        while daemon.process.poll() is None and time.monotonic() < began_at + 60.0:
            daemon.process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        assert daemon.process.poll() is not None, "at once"
    finally:
        daemon.kill()
    (cut,) = project.runs("slow")
    assert cut["state"] == "interrupted", "nobody is there that could end it"
    assert "daemon ended" in cut["error"]
    assert project.json("logs", cut["run"])["rows"][0]["state"] == "interrupted"
    gate.touch()
    assert project.until_idle().returncode == 0
    assert [run["state"] for run in project.runs("slow")] == ["interrupted", "succeeded"]
    assert project.read("after") == [{"n": 1}]
    assert project.staged() == set()


def test_stop_ends_the_daemon_and_a_new_one_may_start(project: Living, gate: Path) -> None:
    gate.touch()
    daemon = project.start()
    try:
        assert project.json("stop") == {"stopped": True}
        assert daemon.process.wait(60) == 0
    finally:
        daemon.kill()
    assert project.json("stop") == {"stopped": False}
    with project.running():
        project.land("a.csv", "n\n1\n")
        assert project.settle()["failed"] == []


def test_commands_without_a_daemon(project: Living, gate: Path) -> None:
    gate.touch()
    assert project.json("status") == []
    project.land("a.csv", "n\n1\n")
    made = project.run("materialize", "after", "--json")
    assert "no daemon" in made.stderr
    (row,) = json.loads(made.stdout)
    assert (row["asset"], row["version"], row["state"]) == ("after", 1, "fresh")
    assert project.read("after") == [{"n": 1}]
    assert set(project.states().values()) == {"fresh"}
    assert "landing/a.csv" in project.why("after")
    project.land("b.csv", "n\n2\n")
    assert project.settle() == {"settled": True, "failed": [], "blocked": []}
    assert project.read("after") == [{"n": 1}, {"n": 2}]
    project.run("pause", "after")
    assert project.status("after")["state"] == "paused"
    project.land("c.csv", "n\n3\n")
    assert project.until_idle().returncode == 0
    assert project.status("after")["state"] == "paused", "a pause outlives a restart"
    assert len(project.read("after")) == 2
    project.run("resume", "after")
    assert project.until_idle().returncode == 0
    assert len(project.read("after")) == 3


def test_a_command_that_reaches_another_is_answered(tmp_path: Path) -> None:
    pipeline = """
import time
from pathlib import Path
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

rows = source("rows", files("landing/rows.csv"))

def wait_for(name):
    while not Path(FOLDER, name).exists():
        time.sleep(0.01)

@asset
def first(rows: pd.DataFrame) -> pd.DataFrame:
    wait_for("first")
    return rows

@asset
def second(rows: pd.DataFrame) -> pd.DataFrame:
    wait_for("second")
    return rows
"""
    gates = tmp_path / "gates"
    gates.mkdir()
    settings = "workers = 1\n"
    project = Living.make(tmp_path / "p", f"FOLDER = {str(gates)!r}\n{pipeline}", settings)
    (project.folder / "landing" / "rows.csv").write_text("n\n1\n")
    for name in ("first", "second"):
        (gates / name).touch()
    assert project.until_idle().returncode == 0
    for name in ("first", "second"):
        (gates / name).unlink()
    with ThreadPoolExecutor() as threads:
        forced = []
        for name in ("first", "second"):
            forced.append(threads.submit(project.run, "materialize", name, "--force", "--json"))
            asked = "select count(*) = ? from event where kind = 'request'"
            project.wait_for(asked, len(forced))
        for name in ("first", "second"):
            project.until_state(name, "running")
            (gates / name).touch()
        rows = [json.loads(done.result().stdout) for done in forced]
    assert [[row["state"] for row in some] for some in rows] == [["fresh"], ["fresh"]]
    assert len(project.runs("second")) == 2


def test_force_verifies_and_shows_what_is_not_deterministic(tmp_path: Path) -> None:
    pipeline = """
import os
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

rows = source("rows", files("landing/rows.csv"))

@asset
def pure(rows: pd.DataFrame) -> pd.DataFrame:
    return rows

@asset
def chancy(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(noise=os.urandom(8).hex())
"""
    project = Living.make(tmp_path / "project", pipeline)
    project.land("rows.csv", "n\n1\n")
    with project.running():
        project.settle()
        (row,) = project.json("materialize", "pure")
        assert row["version"] == 1
        assert len(project.runs("pure")) == 1, "nothing changed: nothing runs"
        (row,) = project.json("materialize", "pure", "--force")
        assert (row["version"], row["state"]) == (1, "fresh")
        assert [run["state"] for run in project.runs("pure")] == ["succeeded", "unchanged"]
        (row,) = project.json("materialize", "chancy", "--force")
        assert row["version"] == 2
        found = project.rows("select asset, equal, columns from verification order by asset")
        assert found == [("chancy", 0, '["noise"]'), ("pure", 1, "[]")]
        told = project.why("chancy") + str(project.status("chancy")) + str(project.json("doctor"))
        assert "noise" in told, "marked as not deterministic, with the columns"


def test_wait_gives_up_in_time(project: Living, gate: Path) -> None:
    with project.running():
        project.land("a.csv", "n\n1\n")
        began_at = time.monotonic()
        done = project.run("wait", "--timeout", "0.5", "--json", check=False)
        assert done.returncode == 1
        assert '"settled": false' in done.stdout
        assert time.monotonic() - began_at < 60.0
        gate.touch()
        assert project.settle()["failed"] == []
