"""A trivial function without schema: overhead alone, against the sum of its primitives.

Each primitive is measured alone and counted as often as the path uses it:
notification 1, commit of an arrival 1, of a source's version 1, of an asset's version 1 (the same
rows in the same tables), round trip to a worker 2, CSV read 1, a folder for a new unit 2, Parquet
written durably 2, Parquet read 1, to pandas 1, from pandas 1, column hash 2.
"""

import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from statistics import median

import blake3
import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from afresh.storage.ledger.catalogue import TABLES
from afresh.storage.ledger.declared import schema_statements
from benchmarks.report import Row, judged, ms, percentiles
from support.project import Project, rename_in

HERE = Path(__file__).parent
WARM, MEASURED, PAUSE_SECONDS = 12, 60, 0.1
CONTENT = "n,x\n1,0.5\n2,1.5\n"
COMMITTED = "select exists (select 1 from version where asset = 'copied' and partition = ?)"
TIMES = {
    "notification": 1,
    "commit of an arrival": 1,
    "of a source's version": 1,
    "of an asset's version": 1,
    "round trip": 2,
    "CSV": 1,
    "folder": 2,
    "write": 2,
    "read": 1,
    "to pandas": 1,
    "from pandas": 1,
    "hash": 2,
}


def measure(folder: Path) -> list[Row]:
    """Give the row; the floor is the sum of the primitives, measured before and after."""
    before = all_alone(folder / "before")
    ours50, ours95 = percentiles(with_afresh(folder / "afresh"))
    after = all_alone(folder / "after")
    primitives = {name: (before[name] + after[name]) / 2 for name in TIMES}
    floor = sum(primitives[name] * times for name, times in TIMES.items())
    for name, times in TIMES.items():
        print(f"{times} × {name}: {ms(primitives[name])}", file=sys.stderr)
    return [
        Row(
            "the same, trivial function, no schema, p50",
            f"{ms(ours50)} (p95 {ms(ours95)})",
            f"{ms(floor)} (the sum of what it is made of)",
            f"≤ 3 × ({ours50 / floor:.2f} ×)",
            judged(ours50 <= 3 * floor),
        )
    ]


def all_alone(folder: Path) -> dict[str, float]:
    """Measure each primitive."""
    folder.mkdir()
    return {name: alone(folder) for name, alone in PRIMITIVES.items()}


def with_afresh(folder: Path) -> list[float]:
    """Time each file through a warm daemon."""
    project = Project.make(folder, (HERE / "projects/trivial.py").read_text())
    seconds = []
    with project.running():
        for number in range(WARM + MEASURED):
            name = f"k{number:03}"
            content = f"n,x\n{number},0.5\n2,1.5\n"
            began = rename_in(folder / "landing" / f"{name}.csv", content)
            seconds.append(project.wait_for(COMMITTED, name) - began)
            time.sleep(PAUSE_SECONDS)
    return seconds[WARM:]


def repeated(once: Callable[[], float], times: int = 60) -> float:
    """Median of several, after some that warm up."""
    return median([once() for _ in range(times + 10)][10:])


def timed(action: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def notification(folder: Path) -> float:
    """From a rename to a handler that wakes another thread."""
    seen: SimpleQueue[float] = SimpleQueue()

    class Handler(FileSystemEventHandler):
        def on_moved(self, event: FileSystemEvent) -> None:
            del event
            seen.put(time.monotonic())

    landing = folder / "notified"
    landing.mkdir()
    observer = Observer()
    observer.schedule(Handler(), str(landing))
    observer.start()

    def once() -> float:
        began = rename_in(landing / "file.csv", CONTENT)
        passed = seen.get() - began
        time.sleep(0.005)
        return passed

    try:
        return repeated(once)
    finally:
        observer.stop()
        observer.join()


ARRIVAL = ("event", "path", "run")
SOURCE = ("version", "validity", "unit", "run")
ASSET = ("version", "validity", "run_key", "unit", "lineage")
"""The tables that each commit inserts a row into. What it changes of rows that are there (an
event's state, a run's end) is left out of the floor."""


def committing(tables: tuple[str, ...]) -> Callable[[Path], float]:
    """One transaction of rows into the ledger's own tables: WAL, synchronous FULL."""

    def commit(folder: Path) -> float:
        connection = sqlite3.connect(folder / f"{'-'.join(tables)}.sqlite", isolation_level=None)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        for statement in schema_statements():
            connection.execute(statement)
        numbers = iter(range(10**6))

        def transaction() -> None:
            connection.execute("begin immediate")
            for table in tables:
                insert(connection, table, next(numbers))
            connection.execute("commit")

        try:
            return repeated(lambda: timed(transaction))
        finally:
            connection.close()

    return commit


def insert(connection: sqlite3.Connection, table: str, number: int) -> None:
    """Insert a row of the length that such rows have."""
    columns = TABLES[table].columns
    values = [
        number if name in WHOLE else f"{number:018}" if name == "run" else TEXTS.get(name, "key")
        for name in columns
    ]
    marks = ", ".join("?" * len(columns))
    names = ", ".join(columns)
    connection.execute(f"insert into {table} ({names}) values ({marks})", values)  # noqa: S608


WHOLE = frozenset({"seq", "epoch", "version", "attempt", "rows", "bytes", "partition", "uri"})
TEXTS: dict[str, object] = {
    "columns": "x" * 160,
    "fingerprint": "f" * 64,
    "hash": "h" * 64,
    "staging": "/" * 90,
    "identity": "i" * 60,
    "run_key": "k" * 40,
    "reasons": "r" * 40,
}


def new_folder(folder: Path) -> float:
    """Make a folder and sync its parent."""
    numbers = iter(range(10**6))

    def make() -> None:
        (folder / f"unit-{next(numbers)}").mkdir()
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

    return repeated(lambda: timed(make))


def round_trip(folder: Path) -> float:
    """A task to a sleeping process and its answer back, encoded with msgspec."""
    del folder
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        while message := theirs.recv(65536):
            theirs.sendall(msgspec.msgpack.encode(msgspec.msgpack.decode(message)))
        os._exit(0)
    theirs.close()
    task = {"run": "x" * 18, "inputs": [{"uri": "y" * 80, "hash": "z" * 64}] * 3}

    def once() -> float:
        time.sleep(0.005)  # so that both sides have gone to sleep
        began = time.perf_counter()
        ours.sendall(msgspec.msgpack.encode(task))
        msgspec.msgpack.decode(ours.recv(65536))
        return time.perf_counter() - began

    passed = repeated(once)
    ours.close()
    os.waitpid(child, 0)
    return passed


def _table() -> pa.Table:
    return pa.table({"n": [1, 2], "x": [0.5, 1.5]})


def read_csv(folder: Path) -> float:
    """Read the file's bytes and parse them."""
    path = folder / "small.csv"
    path.write_text(CONTENT)
    return repeated(lambda: timed(lambda: pyarrow.csv.read_csv(pa.py_buffer(path.read_bytes()))))


def write_parquet(folder: Path) -> float:
    """Write a new file and sync it and its folder."""
    out = folder / "written"
    out.mkdir()
    table, numbers = _table(), iter(range(10**6))

    def write() -> None:
        with (out / f"{next(numbers)}.parquet").open("wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        handle = os.open(out, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

    return repeated(lambda: timed(write))


def read_parquet(folder: Path) -> float:
    """Read one small file."""
    path = folder / "small.parquet"
    pq.write_table(_table(), path)
    return repeated(lambda: timed(lambda: pq.read_table(pa.BufferReader(path.read_bytes()))))


def to_pandas(folder: Path) -> float:
    """Turn a table into a frame."""
    del folder
    table = _table()
    return repeated(lambda: timed(table.to_pandas))


def from_pandas(folder: Path) -> float:
    """Turn a frame into a table."""
    del folder
    frame = _table().to_pandas()
    return repeated(lambda: timed(lambda: pa.Table.from_pandas(frame)))


def column_hash(folder: Path) -> float:
    """Hash each column's buffers."""
    del folder
    table = _table().combine_chunks()

    def digest() -> None:
        for column in table.columns:
            for buffer in column.chunk(0).buffers():
                if buffer is not None:
                    blake3.blake3(memoryview(buffer)).digest()

    return repeated(lambda: timed(digest))


PRIMITIVES: dict[str, Callable[[Path], float]] = {
    "round trip": round_trip,  # first: it forks, before there are threads that hold locks
    "notification": notification,
    "commit of an arrival": committing(ARRIVAL),
    "of a source's version": committing(SOURCE),
    "of an asset's version": committing(ASSET),
    "CSV": read_csv,
    "folder": new_folder,
    "write": write_parquet,
    "read": read_parquet,
    "to pandas": to_pandas,
    "from pandas": from_pandas,
    "hash": column_hash,
}
