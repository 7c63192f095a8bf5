"""Definitions that change in the middle of everything: nothing is lost, nothing comes twice."""

import anyio
import pytest

from afresh.assets.manifest import Manifest
from afresh.assets.planner.changes import Paused, Requested
from afresh.daemon.workers.task import Failed, Task
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import function, source
from support.streaming import StreamDaemon, StreamWorkers, reader, stream

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    import trio.testing

    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0.0)}


BEFORE = Manifest("d", (stream(), source("f")), (reader("new", "s"), function("whole", "f")))
AFTER = Manifest("e", BEFORE.sources, (*BEFORE.functions, function("more", "new")))


async def test_a_batch_that_comes_with_definitions_is_read_once() -> None:
    """The new planner has it from the ledger, and is not told of it besides (P1)."""
    workers = StreamWorkers()
    daemon = StreamDaemon(BEFORE, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        for number in range(5):
            # Both are there when the reactor looks.
            async with anyio.create_task_group() as both:
                both.start_soon(daemon.send, [str(number)])
                both.start_soon(daemon.reload, AFTER if daemon.manifest is BEFORE else BEFORE)
            await daemon.settle()
        assert daemon.head("s") == daemon.head("new") == ["0", "1", "2", "3", "4"]
        daemon.check_laws("s")
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("seconds", [0.005, 0.01, 0.015, 0.02])
async def test_what_ends_with_the_definitions_that_made_it_is_dropped(seconds: float) -> None:
    """Its asset is gone: its end is of no planner, and stops nothing."""
    workers = StreamWorkers()
    daemon = StreamDaemon(BEFORE, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        workers.files["landing/f"] = "x"
        await daemon.arrive("f", "")
        await anyio.sleep(seconds)
        await daemon.reload(Manifest("e", (stream(),), (reader("new", "s"),)))
        await daemon.send(["1"])
        await daemon.settle()
        assert daemon.head("new") == ["1"]
        tasks.cancel_scope.cancel()


async def test_what_names_what_is_gone_stops_nothing() -> None:
    """Handed on or asked for under the definitions before, and taken in under the new ones."""
    workers = StreamWorkers()
    daemon = StreamDaemon(BEFORE, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.reload(Manifest("e", (source("f"),), (function("new", "f"),)))
        await daemon.send(["1"])
        await daemon.send(["1"], name="new")
        await daemon.reactor.tell(lambda _epoch: ([], [Paused((("s", "*"),), on=True)]))
        await daemon.reactor.tell(
            lambda epoch: ([], [Requested(epoch, (("s", ""),), force=True, event=1)])
        )
        await daemon.settle()
        assert workers.started == []
        await daemon.reload(BEFORE)
        await daemon.settle()
        assert daemon.head("s") == ["1"], "recorded, and read when it is declared again"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["run", "ingest"])
async def test_what_waited_for_a_worker_is_made_again_by_the_new_definitions(kind: str) -> None:
    def displaced(task: Task) -> Failed | None:
        began = [each.run for each in workers.started if each.kind == kind]
        return Failed("displaced", "others came") if began == [task.run] else None

    workers = StreamWorkers()
    workers.fail = displaced
    daemon = StreamDaemon(BEFORE, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        workers.files["landing/f"] = "x"
        await daemon.arrive("f", "")
        await daemon.settle()
        begun = [task for task in workers.started if task.kind == kind]
        assert [task.attempt for task in begun] == [1, 1], "it was no attempt"
        assert len(daemon.versions("whole")) == 1
        rows = daemon.ledger.reader.rows("SELECT state FROM run ORDER BY run")
        assert sorted(state for (state,) in rows) == ["cancelled", "succeeded", "succeeded"]
        assert daemon.ledger.reader.rows("SELECT COUNT(*) FROM failure") == [(0,)]
        tasks.cancel_scope.cancel()


WHOLE = Manifest("w", (stream(),), (function("new", "s"),))
ROWS = Manifest("r", (stream(),), (reader("new", "s"),))


@pytest.mark.parametrize(("before", "after"), [(WHOLE, ROWS), (ROWS, WHOLE)])
async def test_what_a_run_gives_is_taken_for_nothing_else(
    before: Manifest, after: Manifest
) -> None:
    """An asset that comes to read new rows, or to read all, while a run of it is under way."""
    workers = StreamWorkers()
    daemon = StreamDaemon(before, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"])
        await daemon.settle()
        await daemon.send(["2"])
        await anyio.sleep(0.015)
        assert [task.name for task in workers.started][-1] == "new"
        await daemon.reload(after)
        await daemon.send(["3"])
        await daemon.settle()
        made = daemon.head("new") if after is ROWS else workers.artifacts[daemon.uri("new")]
        assert made == ["1", "2", "3"]
        states = daemon.ledger.reader.rows("SELECT state FROM run WHERE asset = 'new'")
        assert ("cancelled",) in states
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["whole", "new", "f"])
async def test_what_was_asked_for_waits_on_under_new_definitions(name: str) -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(BEFORE, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        workers.files["landing/f"] = "x"
        await daemon.arrive("f", "")
        await daemon.send(["1"])
        await daemon.settle()
        workers.started.clear()
        daemon.reactor.dispatching = False
        await daemon.ask(name, force=True)
        if name == "f":
            await daemon.arrive("f", "")
        await daemon.reload(AFTER)
        await daemon.settle()
        made = [task for task in workers.started if task.name == name]
        assert len(made) == 1
        assert bool(made[0].kept) is (name != "new"), "it is known that it was asked for"
        cause = daemon.ledger.reader.rows(
            "SELECT e.kind FROM run r JOIN event e ON e.seq = r.cause_event WHERE r.run = :run",
            {"run": made[0].run},
        )
        assert cause == [("arrived" if name == "f" else "request",)]
        tasks.cancel_scope.cancel()


async def test_a_failed_unit_that_was_asked_for_is_tried_under_new_definitions() -> None:
    workers = StreamWorkers()
    workers.fail = lambda task: Failed("raised", "boom") if task.name == "whole" else None
    daemon = StreamDaemon(BEFORE, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        workers.files["landing/f"] = "x"
        await daemon.arrive("f", "")
        await daemon.settle()
        workers.fail = lambda _task: None
        daemon.reactor.dispatching = False
        await daemon.ask("whole")
        await daemon.reload(AFTER)
        await daemon.settle()
        assert len(daemon.versions("whole")) == 1
        await daemon.reload(BEFORE)
        await daemon.settle()
        assert [task.name for task in workers.started].count("whole") == 2, "asked for once"
        tasks.cancel_scope.cancel()


async def test_a_forced_run_that_new_definitions_end_is_made_again_as_such() -> None:
    """Its parameter has another name now: what is under way would move no mark of it."""
    workers = StreamWorkers(lambda task: 1.0 if task.name == "new" else 0.01)
    daemon = StreamDaemon(ROWS, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"])
        await daemon.settle()
        await daemon.ask("new", force=True)
        await anyio.sleep(0.5)
        two = Manifest("t", (stream(), stream("t")), (reader("new", "s", "t"),))
        await daemon.reload(two)
        await daemon.send(["2"], "t")
        await daemon.settle()
        assert daemon.head("new") == ["1", "2"]
        assert daemon.versions("new")[-1][1] == 1, "made anew"
        tasks.cancel_scope.cancel()
