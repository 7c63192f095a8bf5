"""New definitions: which files a source reads again, over a ledger that takes the rows."""

import anyio
import msgspec
import pytest

from afresh.assets.manifest import Manifest, Schema, Sensor, Source
from afresh.daemon.workers.task import Failed, Task
from afresh.sensors.base import Arrival, Batch, Identity
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import source
from support.streaming import StreamDaemon, StreamWorkers

pytestmark = pytest.mark.anyio

FILES = source("a", "k", schema="S")


def manifest(files: Source, version: str = "v1") -> Manifest:
    """Declare a source whose schema has this version."""
    digest = f"{files.code_key} {version}"
    return Manifest(digest, (files,), schemas={"S": Schema("S", (), "open", "", version)})


def events(daemon: StreamDaemon) -> list[tuple[str, str, str]]:
    """Give those that new definitions made: key, uri, state."""
    return daemon.ledger.reader.rows(
        "SELECT partition, uri, state FROM event WHERE kind = 'code' AND source = 'a' ORDER BY seq"
    )


async def reloaded(new: Manifest) -> StreamDaemon:
    """Have two files arrive, one of them rejected, then take these definitions over."""
    workers = StreamWorkers()
    workers.files = {"landing/a/x": "1", "landing/a/y": "2"}
    broken = Failed("unreadable", "Expected a table, found none")

    def fail(task: Task) -> Failed | None:
        return broken if task.path == "landing/a/y" else None

    workers.fail = fail
    daemon = StreamDaemon(manifest(FILES), workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        for key in "xy":
            await daemon.arrive("a", key)
        await daemon.settle()
        workers.fail = lambda _task: None
        await daemon.reload(new)
        await daemon.settle()
        tasks.cancel_scope.cancel()
    return daemon


async def test_all_files_where_they_are_read_otherwise() -> None:
    other = msgspec.structs.replace(FILES, code_key="c2")
    daemon = await reloaded(manifest(other))
    assert events(daemon) == [
        ("x", "landing/a/x", "unchanged"),
        ("y", "landing/a/y", "ingested"),
    ]


async def test_a_sensor_of_another_kind_begins_anew() -> None:
    """What the one before recorded of each path would say nothing to it, or worse."""
    other = msgspec.structs.replace(FILES, sensor=Sensor("bucket", {}), code_key="c2")
    daemon = await reloaded(manifest(other))
    assert events(daemon) == []
    assert daemon.ledger.reader.rows("SELECT uri FROM path") == []
    kept = await reloaded(manifest(msgspec.structs.replace(FILES, owner="ann"), "v2"))
    assert len(kept.ledger.reader.rows("SELECT uri FROM path")) == 2


async def test_only_what_was_rejected_where_checks_alone_differ() -> None:
    daemon = await reloaded(manifest(FILES, "v2"))
    assert events(daemon) == [("y", "landing/a/y", "ingested")]


async def test_nothing_where_the_source_is_as_it_was() -> None:
    renamed = msgspec.structs.replace(FILES, owner="ann")
    daemon = await reloaded(msgspec.structs.replace(manifest(renamed), digest="other"))
    assert events(daemon) == []


async def test_several_files_of_one_key_stay_refused() -> None:
    files = msgspec.structs.replace(FILES, sensor=Sensor("file", {"pattern": "landing/a/{k}.csv"}))
    workers = StreamWorkers()
    workers.files = {"landing/a/x.csv": "1", "landing/a/x.csv.gz": "2", "landing/a/y.csv": "3"}
    daemon = StreamDaemon(manifest(files), workers, MemoryLedger())

    def arrival(name: str, key: str, problem: str = "") -> Arrival:
        return Arrival(f"landing/a/{name}", "arrived", key, 1.0, Identity(1, 1, 1, 1), problem)

    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.reactor.record(Batch("a", (arrival("x.csv", "x"), arrival("y.csv", "y"))))
        await daemon.settle()
        await daemon.reactor.record(Batch("a", (arrival("x.csv.gz", "x", "Expected one"),)))
        await daemon.settle()
        await daemon.reload(manifest(msgspec.structs.replace(files, code_key="c2")))
        await daemon.settle()
        tasks.cancel_scope.cancel()
    assert events(daemon) == [
        ("x", "landing/a/x.csv", "superseded"),
        ("x", "landing/a/x.csv.gz", "rejected"),
        ("y", "landing/a/y.csv", "unchanged"),
    ]
    assert daemon.ledger.reader.rows(
        "SELECT detail FROM event WHERE kind = 'code' AND state = 'rejected'"
    ) == [("Expected one file for key x, found landing/a/x.csv, landing/a/x.csv.gz",)]
    assert "landing/a/x.csv.gz" not in {task.path for task in workers.started}
