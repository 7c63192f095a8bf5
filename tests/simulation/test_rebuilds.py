"""A stream that is made anew by several runs is the head when all of it is there, not before."""

import anyio
import pytest

from afresh.assets.manifest import Manifest
from afresh.assets.planner.look import Looks
from afresh.assets.planner.segments import Most
from afresh.daemon.workers.task import Failed, Task
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import function
from support.streaming import StreamDaemon, StreamWorkers, reader, stream


def manifest(code: str = "c1") -> Manifest:
    new = reader("new", "s", code_key=code, on_code_change="rebuild")
    return Manifest(code, (stream(),), (new, reader("more", "new"), function("whole", "new")))


def daemon_on(ledger: MemoryLedger, workers: StreamWorkers, code: str = "c1") -> StreamDaemon:
    return StreamDaemon(manifest(code), workers, ledger, most_new=Most(rows=10))


def fails_at_20(task: Task) -> Failed | None:
    begins = task.name == "new" and task.inputs[0].parts[0].skip == 20
    return Failed("raised", "boom") if begins else None


def valid(daemon: StreamDaemon) -> list[int]:
    rows = daemon.ledger.reader.rows("SELECT version FROM validity WHERE asset = 'new'")
    return sorted(version for (version,) in rows)


def runs(workers: StreamWorkers, name: str) -> int:
    return sum(task.name == name for task in workers.started)


@pytest.mark.parametrize("by", ["force", "code"])
async def test_a_rebuild_that_fails_in_the_middle_leaves_the_head_whole(by: str) -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = daemon_on(ledger, workers)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await daemon.backlog(30)
        await daemon.settle()
        before = daemon.versions("new")[-1]
        read = runs(workers, "whole"), runs(workers, "more")
        workers.fail = fails_at_20
        if by == "force":
            await daemon.ask("new", force=True)
        else:
            await daemon.reload(manifest("c2"))
        await daemon.settle()
        assert daemon.head("new") == rows, "last good stays (P6)"
        view = Looks(daemon.reactor.planner).look("new", "", 0.0)
        assert (view.state, view.version) == ("failed", before[0])
        assert valid(daemon)[-1] == before[0], "nobody outside is told of another"
        assert (runs(workers, "whole"), runs(workers, "more")) == read
        workers.fail = lambda _task: None
        await daemon.send(["x"])
        await daemon.settle()
        assert daemon.head("new") == daemon.head("more") == [*rows, "x"]
        assert daemon.versions("new")[-1][1] == before[2], "what it made is the rebuild"
        assert Looks(daemon.reactor.planner).look("new", "", 0.0).state == "fresh"
        daemon.check_laws("new")
        tasks.cancel_scope.cancel()


async def test_what_is_not_the_head_yet_is_so_after_a_restart_too() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = daemon_on(ledger, workers)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await daemon.backlog(50)
        await daemon.settle()
        tasks.cancel_scope.cancel()
    count = runs(workers, "new")
    workers.seconds = lambda task: 1.0 if task.name == "new" else 0.01
    workers.drops = lambda name, row: name == "new" and row == "7"
    forced = False
    for _ in range(2):
        ledger = ledger.snapshot()
        daemon = daemon_on(ledger, workers)
        async with anyio.create_task_group() as tasks:
            await daemon.start(tasks)
            if not forced:
                await daemon.ask("new", force=True)
                forced = True
            await anyio.sleep(2.5)
            assert daemon.head("new") == rows
            assert Looks(daemon.reactor.planner).look("new", "", 0.0).version == 5
            tasks.cancel_scope.cancel()
    daemon = daemon_on(ledger.snapshot(), workers)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        without = [row for row in rows if row != "7"]
        assert daemon.head("new") == daemon.head("more") == without
        # Two of the five were under way at a crash.
        assert runs(workers, "new") == count + 7
        assert [version for version, _, _ in daemon.versions("new")] == list(range(1, 11))
        daemon.check_laws("new")
        tasks.cancel_scope.cancel()


async def test_a_rebuild_that_is_asked_for_again_begins_again() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = daemon_on(ledger, workers)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await daemon.backlog(30)
        await daemon.settle()
        workers.fail = fails_at_20
        await daemon.ask("new", force=True)
        await daemon.settle()
        workers.fail = lambda _task: None
        workers.drops = lambda name, row: name == "new" and row == "7"
        await daemon.ask("new", force=True)
        await daemon.settle()
        assert daemon.head("new") == [row for row in rows if row != "7"]
        assert daemon.versions("new")[-1][1:] == (50, 79)
        daemon.check_laws("new")
        tasks.cancel_scope.cancel()


async def test_a_last_part_without_rows_makes_what_is_there_the_head() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = daemon_on(ledger, workers)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await daemon.backlog(30)
        await daemon.settle()
        workers.drops = lambda name, row: name == "new" and int(row) >= 20
        await daemon.ask("new", force=True)
        await daemon.settle()
        assert daemon.head("new") == daemon.head("more") == rows[:20]
        tasks.cancel_scope.cancel()
