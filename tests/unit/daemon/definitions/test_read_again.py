"""New definitions: which files a source reads again, over a ledger that takes the rows."""

import anyio
import msgspec
import pytest

from afresh.assets.manifest import Manifest, Schema, Sensor, Source
from afresh.daemon.workers.task import Failed, Task
from afresh.sensors.base import Arrival, Batch, Identity
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import source
from support.streaming import StreamDaemon, StreamWorkers, stream

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


async def reloaded(*new: Manifest) -> StreamDaemon:
    """Have two files arrive, one of them rejected, then take these definitions over in turn."""
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
        for each in new:
            await daemon.reload(each)
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


async def test_files_of_a_source_that_was_taken_out_meanwhile() -> None:
    other = msgspec.structs.replace(FILES, code_key="c2")
    daemon = await reloaded(Manifest("none", (), ()), manifest(other))
    assert [state for _, _, state in events(daemon)] == ["unchanged", "ingested"]
    again = await reloaded(Manifest("none", (), ()), manifest(FILES))
    assert events(again) == []


async def cursors(*declared: Source) -> list[tuple[str, str]]:
    """Have a stream record a batch up to "1", then declare it otherwise; what is kept of that."""
    daemon = StreamDaemon(Manifest("0", (stream("a"),)), StreamWorkers(), MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"], "a")
        for number, each in enumerate(declared, 1):
            await daemon.reload(Manifest(str(number), (each,) if each.name == "a" else ()))
        await daemon.settle()
        tasks.cancel_scope.cancel()
    return daemon.ledger.reader.rows("SELECT sensor, value FROM cursor ORDER BY sensor")


async def test_a_stream_goes_on_where_it_was_when_its_kind_comes_back() -> None:
    """Its rows are there still: read from the beginning, they would be appended twice (P1)."""
    other = msgspec.structs.replace(stream("a"), sensor=Sensor("kafka", {}))
    none = source("none")
    assert await cursors(FILES) == [("aside:a:custom", "1")]
    assert await cursors(FILES, none, FILES) == [("aside:a:custom", "1")]
    assert await cursors(none, stream("a")) == [("a", "1")]
    for between in ((FILES,), (other,), (none, FILES, other), (none, other)):
        assert await cursors(*between, stream("a")) == [("a", "1")]


async def test_a_stream_begins_anew_where_a_file_took_the_place_of_its_rows() -> None:
    assert await cursors(source("a")) == []
    assert await cursors(source("a"), stream("a")) == []
    assert await cursors(FILES, source("a"), stream("a")) == []


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
