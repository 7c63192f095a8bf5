"""20,000 files at once: all in the journal, and the loop still turns."""

import json
import os
import sqlite3
import sys
import time
from pathlib import Path

from benchmarks.graphs import HEAD
from benchmarks.report import Row, judged, ms
from support.project import Project

FILES, LIMIT_SECONDS = 20_000, 3.0
RECORDED = "select count(*) = ? from event where kind = 'arrived'"


def measure(folder: Path) -> list[Row]:
    """Give the row; the floor is one listing and one transaction of as many rows."""
    project = Project.make(
        folder / "afresh", HEAD + 'source("burst", files("landing/{name}.csv"))\n'
    )
    lags_file = folder / "lags.json"
    project.command = str(watched(folder / "watched", lags_file))
    with project.running() as daemon:
        closed = write(project.folder / "landing")
        try:
            ended = project.wait_for(RECORDED, FILES, timeout=60)
        except TimeoutError:
            ended = float("inf")
        ((seen, all_of_them),) = project.rows(
            "select count(distinct uri), count(*) from event where kind = 'arrived'"
        )
        daemon.stop()  # the ingests that are left are not what is measured
    lags = sorted(json.loads(lags_file.read_text()))
    floor = by_hand(project.folder / "landing", folder / "floor.sqlite")
    p99 = lags[int(len(lags) * 0.99)]
    took = max(0.0, ended - closed)
    return [
        Row(
            "20,000 files at once → all in the journal",
            f"{took:.2f} s, {FILES - seen} missed, {all_of_them - seen} doubled",
            f"{floor:.2f} s (one listing, one transaction)",
            f"≤ {LIMIT_SECONDS:g} s, none missed",
            judged(took <= LIMIT_SECONDS and seen == FILES == all_of_them),
        ),
        Row(
            "loop lag meanwhile, p99",
            f"{ms(p99)} of {len(lags)} turns, longest {ms(lags[-1])}",
            "",
            "≤ 50 ms",
            judged(p99 <= 0.05),
        ),
    ]


def watched(command: Path, lags: Path) -> Path:
    """Make a command that is `afresh` with a watch in its loop."""
    tests = Path(__file__).parents[1]
    start = f"{sys.executable} -m benchmarks.lagged"
    command.write_text(f'#!/bin/sh\nLAGS={lags} PYTHONPATH={tests} exec {start} "$@"\n')
    command.chmod(0o755)
    return command


def write(landing: Path) -> float:
    """Write the files in place; the time when the last is closed."""
    for number in range(FILES):
        (landing / f"{number}.csv").write_bytes(b"n\n%d\n" % number)
    return time.monotonic()


def by_hand(landing: Path, database: Path) -> float:
    """List the folder, stat each file, insert a row each."""
    began = time.monotonic()
    with os.scandir(landing) as entries:
        rows = [(entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in entries]
    connection = sqlite3.connect(database)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table event (seq integer primary key, uri text, at int, size int)")
    connection.executemany("insert into event (uri, at, size) values (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return time.monotonic() - began
