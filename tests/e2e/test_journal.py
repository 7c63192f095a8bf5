"""The journal from the command line: filters, following, events made by hand and brought again."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from support.living import Living, until
from support.processes import within_block

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

flights = source("flights", files("landing/{day}.csv"))


@asset
def total(flights: pd.DataFrame) -> pd.DataFrame:
    return flights
"""


@contextmanager
def following(project: Living, *options: str) -> Iterator[list[str]]:
    """Gather what `events --follow` prints meanwhile."""
    follower = subprocess.Popen(
        [project.command, "events", "--follow", *options, "--project", str(project.folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    assert follower.stdout is not None
    reading = Thread(target=lines.extend, args=(follower.stdout,), daemon=True)
    reading.start()
    with within_block(follower):
        try:
            yield lines
        finally:
            follower.kill()
            reading.join()


def test_what_arrived_can_be_filtered_followed_and_brought_again(tmp_path: Path) -> None:
    project = Living.make(tmp_path / "p", PIPELINE)
    with project.running():
        project.land("k1.csv", "a\n1\n")
        project.land("k2.csv", "a\n2\n")
        project.settle()
        arrived = project.json("events", "--source", "flights", "--kind", "arrived")
        assert sorted(event["partition"] for event in arrived) == ["k1", "k2"]
        assert project.json("events", "--partition", "k2", "--state", "ingested") == [
            event for event in arrived if event["partition"] == "k2"
        ]
        last = arrived[-1]["seq"]
        assert [e["seq"] for e in project.json("events", "--since", str(last))] == [last]
        assert project.json("events", "--until", "2001-01-01") == []
        assert len(project.json("events", "--since", "10m")) == 3
        with following(project, "--kind", "arrived", "--state", "unchanged") as lines:
            runs = len(project.runs("total"))
            # It follows once it has told of one.
            until(lambda: bool(project.run("emit", "flights", "--partition", "k2")) and lines)
            project.settle()
            emitted = project.json("emit", "flights", "--partition", "k1")
            assert emitted["uri"] == "landing/k1.csv"
            project.settle()
            done = project.run("replay", "--events", f"{arrived[0]['seq']}..{last}", "--json")
            rows: list[dict[str, Any]] = json.loads(done.stdout)
            assert [row["state"] for row in rows] == ["unchanged", "unchanged"]
            assert len(project.runs("total")) == runs
            told = {emitted["seq"], *(row["replay"] for row in rows)}
            until(lambda: told <= {json.loads(line)["seq"] for line in lines})
            assert {json.loads(line)["state"] for line in lines} == {"unchanged"}
        # A file that is gone fails the replay.
        (project.folder / "landing" / "k2.csv").unlink()
        until(lambda: project.json("events", "--kind", "deleted"))
        gone = next(event["seq"] for event in arrived if event["partition"] == "k2")
        assert project.run("replay", "--events", str(gone), check=False).returncode == 1
        assert project.run("replay", "--events", "x", check=False).returncode == 2
        assert project.run("replay", check=False).returncode == 2
        assert project.run("emit", "flights", "--data", "1", check=False).returncode == 2


def test_what_is_for_a_paused_sensor_waits_for_it_and_is_not_unmatched(tmp_path: Path) -> None:
    other = 'others = source("others", files("landing/{name}.jsonl"))\n'
    project = Living.make(tmp_path / "p", PIPELINE + other)
    with project.running():
        project.run("sensors", "pause", "flights")
        project.land("k1.csv", "a\n1\n")
        project.land("stray.txt", "nobody's")
        project.land("k1.jsonl", '{"a": 1}\n')
        project.settle("others")
        strays = until(lambda: project.json("events", "--unmatched"))
        assert [event["uri"] for event in strays] == ["landing/stray.txt"]
    with project.running():  # it is paused still
        project.land("k2.csv", "a\n2\n")
        project.run("sensors", "scan", "others")
        assert len(project.json("events", "--unmatched")) == 1
        project.run("sensors", "resume", "flights")
        project.settle()
        assert project.states("flights") == {"flights[k1]": "fresh", "flights[k2]": "fresh"}
        assert len(project.json("events", "--unmatched")) == 1
