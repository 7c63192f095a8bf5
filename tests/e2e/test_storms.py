"""Storms: a source over its budget, and an asset that leads to itself through a file it writes."""

import time
from pathlib import Path

import pytest

from services.ports import free_port
from support.living import until
from support.project import Project, rename_in

pytestmark = pytest.mark.e2e

PIPELINE = """
import os
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

rows = source("rows", files("landing/rows.csv"))
wild = source("wild", files("landing/wild/{k}.csv"), budget="10/1s")

@asset
def loop(rows: pd.DataFrame) -> pd.DataFrame:
    out = rows.assign(n=rows["n"] + 1)
    out.to_csv("landing/.rows.part", index=False)
    os.replace("landing/.rows.part", "landing/rows.csv")
    return out

@asset
def calm(wild: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"n": [len(wild)]})
"""


def states(project: Project, asset: str) -> set[str]:
    return {unit["state"] for unit in project.json("status", asset)}


def test_loop_is_stopped_and_goes_on_by_hand(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "p", PIPELINE)
    (project.folder / "landing" / "wild").mkdir()
    with project.running():
        rename_in(project.folder / "landing" / "rows.csv", "n\n1\n")
        until(lambda: states(project, "loop") == {"paused"})
        (unit,) = project.json("status", "loop")
        assert "led to it again" in str(unit["reasons"])
        count = unit["version"]
        assert 10 < count < 20
        time.sleep(1.0)
        assert project.json("status", "loop")[0]["version"] == count
        assert [alert for (alert,) in project.rows("select subject from alert")] == [
            "loop through loop"
        ]
    with project.running():
        assert "led to it again" in str(project.json("status", "loop")[0]["reasons"])
        project.run("resume", "loop")
        until(lambda: project.json("status", "loop")[0]["version"] > count + 10)
        until(lambda: states(project, "loop") == {"paused"})


def test_storm_is_spread_told_and_lost_is_nothing(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "p", PIPELINE)
    (project.folder / "landing" / "wild").mkdir()
    with project.running():
        for number in range(40):
            rename_in(project.folder / "landing" / "wild" / f"{number:02}.csv", f"a\n{number}\n")
        until(lambda: len(project.json("events")) >= 41)
        (row,) = [each for each in project.json("sensors") if each["sensor"] == "wild"]
        assert "over its budget of 10/1s" in row["error"]
        assert row["state"] == "watching"
        until(lambda: states(project, "wild") == {"fresh"})
        project.run("wait", "calm")
        runs = [run for run in project.json("runs") if run["asset"] == "wild"]
        started = sorted(run["started_at"] for run in runs)
        assert len(started) == 40
        assert started[10] < started[-1]
        (row,) = [each for each in project.json("sensors") if each["sensor"] == "wild"]
        assert not row["error"]
        assert project.json("read", "calm") == [{"n": 40}]


OUTSIDE = """
import os
import subprocess
import sys
import urllib.request
import pandas as pd
from afresh import Context, asset, source
from afresh.sensors import webhook

emitted = source("emitted", webhook("/hooks/emitted", secret=None))
posted = source("posted", webhook("/hooks/posted", secret=None))


@asset(new="emitted", retries=5)
def emits(emitted: pd.DataFrame) -> pd.DataFrame:
    data = '{"n": %d}' % (emitted["n"].max() + 1)
    afresh = os.path.join(os.path.dirname(sys.executable), "afresh")
    subprocess.run([afresh, "emit", "emitted", "--data", data], check=True)
    return emitted


@asset(new="posted", retries=5)
def posts(posted: pd.DataFrame, context: Context) -> pd.DataFrame:
    call = urllib.request.Request(
        "http://127.0.0.1:PORT/hooks/posted",
        b'{"n": %d}' % (posted["n"].max() + 1),
        {"afresh-depth": str(context.depth), "content-type": "application/json"},
    )
    try:
        urllib.request.urlopen(call).close()
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read()) from None
    return posted
"""


@pytest.mark.parametrize(("name", "what"), [("emits", "emitted"), ("posts", "posted")])
def test_loops_through_the_daemon_itself_are_stopped_restarts_or_not(
    tmp_path: Path, name: str, what: str
) -> None:
    port = free_port()
    pipeline = OUTSIDE.replace("PORT", str(port))
    project = Project.make(tmp_path / "p", pipeline, f'http = "127.0.0.1:{port}"\n')
    count = "select count(*) from event where source in ('emitted', 'posted')"
    with project.running():
        project.run("emit", what, "--data", '{"n": 0}')
        until(lambda: project.rows(count)[0][0] >= 5)
    assert states(project, name) != {"paused"}
    with project.running():
        until(lambda: states(project, name) == {"paused"}, seconds=60)
        (unit,) = project.json("status", name)
        assert "led to it again" in str(unit["reasons"])
        time.sleep(1.0)
        (seen,) = project.rows(count)[0]
        assert 10 < seen <= 14
