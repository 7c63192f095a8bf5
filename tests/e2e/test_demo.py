"""`make demo`, shorter: what a newcomer sees first must work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.project import Project

pytestmark = pytest.mark.e2e
REPLAY = Path(__file__).parents[2] / "deploy/demo/replay.py"


def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    folder = tmp_path / "flights-demo"
    done = subprocess.run(
        [sys.executable, REPLAY, "--days", "12", "--pace", "0", folder],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "NO_COLOR": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    project = Project(folder)
    rows = project.json("status")
    failed = {(row["asset"], row["partition"]) for row in rows if row["state"] == "failed"}
    assert failed == {("flights", "2013-01-05")}
    assert {row["state"] for row in rows} == {"failed", "fresh"}
    kept = project.json("versions", "flights[2013-01-05]")
    assert [version["version"] for version in kept] == [1]
    assert "two hours" in project.run("why", "flights[2013-01-05]").stdout
    carriers = project.json("read", "carrier_ranking")
    assert len(carriers) > 10
    assert carriers[0]["rank"] == 1


def test_a_folder_that_the_demo_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = subprocess.run(
        [sys.executable, REPLAY, "--days", "12", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (tmp_path / "mine.txt").read_text() == "mine"
