"""Targets that cannot be reached, and those that are removed: said, and let go of by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.ports import free_port
from support.living import Living, until

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

numbers = source("numbers", files("landing/{k}.csv"))

@asset(partitions="numbers")
def doubled(numbers: pd.DataFrame) -> pd.DataFrame:
    return numbers * 2
"""


def outgoing(project: Living) -> dict[str, Any]:
    return {row["target"]: row for row in project.json("outgoing")}


def findings(project: Living) -> dict[str, Any]:
    done = project.run("doctor", "--json", check=False)
    return {row["check"]: row for row in json.loads(done.stdout)}


def test_what_waits_is_said_and_can_be_let_go(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    down = f'[[outgoing]]\nname = "down"\nkind = "webhook"\nurl = "{url}"\n'
    well = '[[outgoing]]\nname = "well"\nkind = "file"\npath = "told.jsonl"\n'
    project = Living.make(tmp_path / "p", PIPELINE, down + well)
    assert project.json("outgoing") == []
    with project.running():
        for name in "abc":
            project.land(f"{name}.csv", "n\n1\n")
        project.settle()
        until(lambda: outgoing(project)["well"]["waiting"] == 0)
        assert (outgoing(project)["down"]["waiting"], outgoing(project)["down"]["kind"]) == (
            6,
            "webhook",
        )
        until(lambda: outgoing(project)["down"]["state"] == "failed", seconds=60)
        assert "127.0.0.1" in outgoing(project)["down"]["error"]
    found = findings(project)
    assert found["outgoing down"]["state"] == "warning"
    assert "6 events wait" in found["outgoing down"]["detail"]
    assert found["outgoing well"]["state"] == "ok"
    settings = project.folder / "afresh.toml"
    settings.write_text(settings.read_text().replace(down, ""))
    assert outgoing(project)["down"]["state"] == "removed"
    hint = findings(project)["outgoing down"]["hint"]
    assert "afresh outgoing drop down" in hint
    assert project.run("outgoing", "drop", "dwon", check=False).returncode == 2
    with project.running():
        assert project.json("outgoing", "drop", "down") == {"target": "down", "dropped": 6}
        assert "down" not in outgoing(project)
        told = [event for event in project.json("events") if event["kind"] == "gap"]
        assert len(told) == 1
        project.land("d.csv", "n\n1\n")
        project.settle()
        lines = project.folder / "told.jsonl"
        until(lambda: len(lines.read_text().splitlines()) == 8)
    assert findings(project).keys().isdisjoint({"outgoing down"})
