"""Daemon and workers killed in the middle: nothing is lost, doubled or left behind."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from support.living import Living, until
from support.processes import outliving

pytestmark = pytest.mark.e2e

PIPELINE = """
import time
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

rows = source("rows", files("landing/{k}.csv", settle=0.1))

@asset(partitions="rows")
def doubled(rows: pd.DataFrame) -> pd.DataFrame:
    time.sleep(0.05)
    return rows * 2

@asset
def total(doubled: pd.DataFrame) -> pd.DataFrame:
    return doubled[["n"]].sum().to_frame().T
"""


def _expected(project: Living) -> dict[str, list[int]]:
    """Compute from the files alone what has to come of them."""
    made: dict[str, list[int]] = {}
    for path in sorted((project.folder / "landing").glob("*.csv")):
        made[path.stem] = [2 * int(line) for line in path.read_text().splitlines()[1:]]
    return made


def _check(project: Living) -> None:
    expected = _expected(project)
    for key, numbers in expected.items():
        assert [row["n"] for row in project.read(f"doubled[{key}]")] == numbers
    assert project.read("total") == [{"n": sum(map(sum, expected.values()))}]
    doubled = Counter(
        project.rows("select asset, partition, fingerprint from version where asset != 'total'")
    )
    assert set(doubled.values()) == {1}, "each content is a version once"
    assert len(doubled) == 2 * len(expected)
    arrived = project.rows("select partition from event where kind = 'arrived'")
    assert {key for (key,) in arrived} == set(expected)
    assert project.staged() == set()
    assert {row["state"] for row in project.json("verify")} == {"ok"}
    assert project.rows("select count(*) from run where state in ('running', 'queued')") == [(0,)]


@pytest.mark.parametrize("at", [1, 8])
def test_the_daemon_killed_amid_twenty_files(tmp_path: Path, at: int) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    with project.running() as daemon:
        for number in range(20):
            project.land(f"k{number:02}.csv", f"n\n{number}\n{number + 100}\n")
        project.wait_for(
            "select count(*) >= ? from run where asset = 'doubled' and state = 'succeeded'", at
        )
        below = [pid for pid in daemon.tree() if pid != daemon.pid]
        assert below
        daemon.kill()
        assert outliving(below, 60.0) == [], "workers end with the daemon"
        states = {row["state"] for row in project.json("runs")}
        assert states <= {"running", "queued", "interrupted", "succeeded"}
    # It was killed: `running` has nothing left to stop.


def test_it_goes_on_after_a_kill(tmp_path: Path) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    daemon = project.start()
    for number in range(20):
        project.land(f"k{number:02}.csv", f"n\n{number}\n{number + 100}\n")
    for at in (0, 3, 9):
        project.wait_for(
            "select count(*) >= ? from run where asset = 'doubled' and state = 'succeeded'", at
        )
        daemon.kill()
        # What lands while nobody watches is found by the scan.
        project.land(f"late{at}.csv", f"n\n{1000 + at}\n")
        daemon = project.start()
    try:
        assert project.settle() == {"settled": True, "failed": [], "blocked": []}
        _check(project)
        interrupted = [row for row in project.json("runs") if row["state"] == "interrupted"]
        assert all("daemon" in row["error"] for row in interrupted)
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def test_a_worker_killed_costs_one_attempt(tmp_path: Path) -> None:
    pipeline = PIPELINE.replace("time.sleep(0.05)", "wait()").replace(
        '@asset(partitions="rows")', '@asset(partitions="rows", retries=1)'
    )
    gate, pids = tmp_path / "gate", tmp_path / "pids"
    pids.mkdir()
    waiting = f"""
def wait():
    import os
    from pathlib import Path
    Path({str(pids)!r}, str(os.getpid())).touch()
    while not Path({str(gate)!r}).exists():
        time.sleep(0.01)
"""
    project = Living.make(tmp_path / "project", pipeline + waiting, "workers = 2\n")
    with project.running():
        for number in range(4):
            project.land(f"k{number}.csv", f"n\n{number}\n")
        until(lambda: len(list(pids.iterdir())) >= 2, "two are at work")
        victim = int(next(pids.iterdir()).name)
        os.kill(victim, signal.SIGKILL)
        until(
            lambda: [row for row in project.json("runs", "doubled") if row["state"] == "failed"],
            "it is seen",
        )
        gate.touch()
        assert project.settle() == {"settled": True, "failed": [], "blocked": []}
        failed = [row for row in project.json("runs") if row["state"] == "failed"]
        assert len(failed) == 1
        assert "SIGKILL" in failed[0]["error"]
        _check(project)
