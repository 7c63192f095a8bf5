"""20,000 files at once: all in the journal, and the loop still turns."""

import os
import sqlite3
import threading
import time
from pathlib import Path

from afresh.assets.errors import AfreshError
from afresh.daemon.api.client import connect
from benchmarks.graphs import HEAD
from benchmarks.report import Row, judged, ms
from support.project import Daemon, Project

FILES, LIMIT_SECONDS, PING_SECONDS = 20_000, 3.0, 0.01
RECORDED = "select count(*) = ? from event where kind = 'arrived'"


def measure(folder: Path) -> list[Row]:
    """Give the row; the floor is one listing and one transaction of as many rows."""
    project = Project.make(
        folder / "afresh", HEAD + 'source("burst", files("landing/{name}.csv"))\n'
    )
    with project.running() as daemon:
        lags: list[float] = []
        stop = threading.Event()
        pinger = threading.Thread(target=ping, args=(project, lags, stop))
        pinger.start()
        closed = write(project.folder / "landing")
        try:
            ended = project.wait_for(RECORDED, FILES, timeout=60)
        except TimeoutError:
            ended = float("inf")
        stop.set()
        pinger.join()
        (seen,) = project.rows("select count(distinct uri) from event")[0]
        (doubled,) = project.rows("select count(*) from event")[0]
        end(daemon)
    floor = by_hand(project.folder / "landing", folder / "floor.sqlite")
    p99 = sorted(lags)[int(len(lags) * 0.99)]
    took = max(0.0, ended - closed)
    return [
        Row(
            "20,000 files at once → all in the journal",
            f"{took:.2f} s, {FILES - seen} missed, {doubled - seen} doubled",
            f"{floor:.2f} s (one listing, one transaction)",
            f"≤ {LIMIT_SECONDS:g} s, none missed",
            judged(took <= LIMIT_SECONDS and seen == FILES == doubled),
        ),
        Row(
            "loop lag meanwhile, p99 (asked over the socket)",
            f"{ms(p99)} of {len(lags)}",
            "",
            "≤ 50 ms",
            judged(p99 <= 0.05),
        ),
    ]


def write(landing: Path) -> float:
    """Write the files in place; the time when the last is closed."""
    for number in range(FILES):
        (landing / f"{number}.csv").write_bytes(b"n\n%d\n" % number)
    return time.monotonic()


def ping(project: Project, lags: list[float], stop: threading.Event) -> None:
    """Ask for what no daemon can do: the answer costs nothing but a turn of its loop."""
    client = connect(str(project.state))
    assert client is not None
    while not stop.wait(PING_SECONDS):
        began = time.monotonic()
        try:
            client.ask("ping", {}, request="ping")
        except AfreshError:
            lags.append(time.monotonic() - began)
    client.close()


def end(daemon: Daemon) -> None:
    """The ingests that are left are not what is measured."""
    daemon.kill()


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
