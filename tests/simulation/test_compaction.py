"""Small segments of streams become one though nothing comes; no version changes by it."""

import anyio

from afresh.assets.manifest import Manifest
from afresh.daemon.streams.compaction import ABANDONED_SECONDS, FEW_SMALL, Compaction
from afresh.storage.ledger.memory import MemoryLedger
from support.streaming import StreamDaemon, StreamWorkers, reader, stream

CHAIN = Manifest("d", (stream(),), (reader("new", "s"),))


async def send(daemon: StreamDaemon, count: int) -> list[str]:
    rows = [str(i) for i in range(count)]
    for value in rows:
        await daemon.send([value])
        await daemon.settle()
    return rows


async def test_what_gets_nothing_is_merged() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = StreamDaemon(CHAIN, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await send(daemon, 10)
        versions = daemon.versions("s")
        assert len(daemon.segments("s")) == len(daemon.segments("new")) == 10
        tasks.cancel_scope.cancel()
    daemon = StreamDaemon(CHAIN, workers, ledger.snapshot())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        tasks.start_soon(Compaction(daemon.reactor, anyio.current_time).run)
        await anyio.sleep(100)
        for asset in ("s", "new"):
            assert [s[:2] for s in daemon.segments(asset)] == [(0, 10)]
            assert daemon.versions(asset) == versions
            assert all(daemon.read(asset, a, b) == rows[a:b] for _, a, b in versions)
        garbage = {uri for (uri,) in daemon.ledger.reader.rows("SELECT uri FROM garbage")}
        assert len(garbage) == 20
        assert not garbage & {s[2] for a in ("s", "new") for s in daemon.segments(a)}
        started = len(workers.started)
        await anyio.sleep(1000)
        assert len(workers.started) == started, "there is nothing more to merge"
        await daemon.send(["x"])
        await daemon.settle()
        assert daemon.head("new") == [*rows, "x"]
        tasks.cancel_scope.cancel()


async def test_it_gives_way() -> None:
    workers = StreamWorkers(lambda task: 60.0 if task.kind == "run" else 0.01)
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        for value in range(10):
            await daemon.send([str(value)])
            await anyio.sleep(1)
        assert not await Compaction(daemon.reactor, anyio.current_time).merge()
        await daemon.settle()
        assert await Compaction(daemon.reactor, anyio.current_time).merge()
        tasks.cancel_scope.cancel()


async def test_what_comes_meanwhile_is_appended_behind_it() -> None:
    workers = StreamWorkers(lambda task: 5.0 if task.kind == "merge" else 0.01)
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await send(daemon, FEW_SMALL)
        tasks.start_soon(Compaction(daemon.reactor, anyio.current_time).merge)
        await anyio.sleep(1)
        await daemon.send(["x"])
        await anyio.sleep(10)
        assert [s[:2] for s in daemon.segments("s")] == [(0, FEW_SMALL), (4, 5)]
        assert daemon.head("s") == daemon.head("new") == [*rows, "x"]
        daemon.check_laws("s")
        tasks.cancel_scope.cancel()


async def test_what_a_crash_leaves_of_a_merge_is_collected() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = StreamDaemon(CHAIN, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await send(daemon, FEW_SMALL)
        workers.seconds = lambda _task: 5.0
        tasks.start_soon(Compaction(daemon.reactor, anyio.current_time).merge)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    daemon = StreamDaemon(CHAIN, workers, ledger.snapshot())
    (task,) = [task for task in workers.started if task.kind == "merge"]
    rows = daemon.ledger.reader.rows("SELECT uri FROM garbage")
    assert rows == [(task.merges[0].uri,)]
    assert await daemon.files().collect() == 0, "a merge may be under way"
    await anyio.sleep(ABANDONED_SECONDS + 100)
    assert await daemon.files().collect() == 1
