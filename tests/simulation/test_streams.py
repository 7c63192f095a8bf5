"""Streams on the simulated reactor: each row is published once, whatever fails."""

from itertools import pairwise

import anyio
import pytest

from afresh.assets.manifest import Manifest, Retry
from afresh.assets.planner import ingests
from afresh.assets.planner.changes import Paused
from afresh.assets.planner.look import Looks
from afresh.assets.planner.segments import Most
from afresh.assets.policy import AnyNew, Debounce, Every, Freshness, Policy
from afresh.daemon import journal
from afresh.daemon.waiting import Waiting
from afresh.daemon.workers.task import Failed, Rejected, Task
from afresh.sensors.base import ObjectIdentity
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import function, source
from support.streaming import StreamDaemon, StreamWorkers, reader, stream

CHAIN = Manifest(
    "d", (stream(),), (reader("new", "s"), reader("more", "new"), function("whole", "s"))
)


def names(workers: StreamWorkers) -> list[str]:
    return [task.name for task in workers.started]


async def test_each_batch_is_a_version_and_new_rows_are_read_once() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        for i in range(5):
            await daemon.send([f"{i}a", f"{i}b"])
            await daemon.settle()
        rows = [f"{i}{c}" for i in range(5) for c in "ab"]
        assert daemon.versions("s") == [(i + 1, 0, 2 * i + 2) for i in range(5)]
        assert daemon.versions("new") == daemon.versions("s")
        for asset in ("s", "new", "more"):
            daemon.check_laws(asset)
            assert daemon.head(asset) == rows
            assert daemon.read(asset, 0, 4) == rows[:4], "an older version is what it was"
        runs = [task for task in workers.started if task.name == "new"]
        assert [[(p.skip, p.take) for p in t.inputs[0].parts] for t in runs] == [[(0, 2)]] * 5
        whole = [task for task in workers.started if task.name == "whole"]
        assert sum(part.rows for part in whole[-1].inputs[0].parts) == 10
        tasks.cancel_scope.cancel()


async def test_batches_that_wait_are_one_version() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        daemon.reactor.dispatching = False
        for i in range(40):
            await daemon.send([str(i)])
        daemon.reactor.dispatching = True
        daemon.reactor.wake()
        await daemon.settle()
        assert daemon.versions("s") == [(1, 0, 40)]
        assert daemon.head("new") == [str(i) for i in range(40)]
        tasks.cancel_scope.cancel()


async def test_a_stream_that_is_read_too_slowly_makes_its_sensor_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingests, "MOST_WAITING", 10)
    monkeypatch.setattr(ingests, "MOST_BATCHES", 1)
    workers = StreamWorkers(lambda _task: 1.0)
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        started_at = anyio.current_time()
        for i in range(20):
            await daemon.send([str(i)])
        assert 8 < anyio.current_time() - started_at < 12
        await daemon.settle()
        assert daemon.head("more") == [str(i) for i in range(20)]
        tasks.cancel_scope.cancel()


async def test_a_failed_run_does_not_move_the_mark() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"])
        await daemon.settle()
        workers.fail = lambda t: Failed("raised", "boom") if t.name == "new" else None
        await daemon.send(["2"])
        await daemon.settle()
        await daemon.send(["3"])
        await daemon.settle()
        assert daemon.head("new") == ["1"]
        workers.fail = lambda _t: None
        await daemon.send(["4"])
        await daemon.settle()
        assert daemon.head("new") == daemon.head("more") == ["1", "2", "3", "4"]
        assert daemon.versions("new") == [(1, 0, 1), (2, 0, 4)]
        tasks.cancel_scope.cancel()


async def test_of_several_outputs_all_or_none_are_appended() -> None:
    both = Manifest("d", (stream(),), (reader("a", "s", outputs=("a", "b")),))
    workers = StreamWorkers()
    workers.drops = lambda name, row: (name == "a") == (row == "b")
    daemon = StreamDaemon(both, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["a", "b", "a"])
        await daemon.settle()
        assert (daemon.head("a"), daemon.head("b")) == (["a", "a"], ["b"])
        await daemon.send(["a"])
        await daemon.settle()
        assert daemon.versions("a") == [(1, 0, 2), (2, 0, 3)]
        assert daemon.versions("b") == [(1, 0, 1)], "nothing new for it"
        workers.fail = lambda t: Rejected("b", "invalid") if t.name == "a" else None
        await daemon.send(["b"])
        await daemon.settle()
        assert daemon.versions("b") == [(1, 0, 1)]
        workers.fail = lambda _t: None
        await daemon.send(["a"])
        await daemon.settle()
        assert (daemon.head("a"), daemon.head("b")) == (["a"] * 4, ["b", "b"])
        tasks.cancel_scope.cancel()


async def test_without_rows_the_mark_moves_and_there_is_no_new_version() -> None:
    workers = StreamWorkers()
    workers.drops = lambda name, row: name == "new" and row != "keep"
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        for value in ("1", "2", "keep", "3"):
            await daemon.send([value])
            await daemon.settle()
        assert daemon.versions("new") == [(1, 0, 0), (2, 0, 1)]
        assert daemon.head("more") == ["keep"]
        assert names(workers).count("new") == 4
        states = daemon.ledger.reader.rows("SELECT state FROM run WHERE asset='new' ORDER BY run")
        assert [row[0] for row in states] == ["succeeded", "unchanged", "succeeded", "unchanged"]
        tasks.cancel_scope.cancel()


async def test_what_is_read_whole_beside_does_not_run_it() -> None:
    manifest = Manifest("d", (stream(), source("f")), (reader("new", "s", whole=("f",)),))
    workers = StreamWorkers()
    daemon = StreamDaemon(manifest, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        workers.files["landing/f"] = "x"
        await daemon.arrive("f", "")
        await daemon.send(["1"])
        await daemon.settle()
        assert names(workers).count("new") == 1
        workers.files["landing/f"] = "y"
        await daemon.arrive("f", "")
        await daemon.settle()
        assert names(workers).count("new") == 1
        await daemon.send(["2"])
        await daemon.settle()
        assert daemon.head("new") == ["x", "1", "y", "2"]
        tasks.cancel_scope.cancel()


async def test_a_rebuild_reads_from_the_start_and_so_does_who_reads_it() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = StreamDaemon(CHAIN, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        for value in ("1", "2", "3"):
            await daemon.send([value])
            await daemon.settle()
        workers.drops = lambda name, row: name == "new" and row == "2"
        await daemon.ask("new", force=True)
        await daemon.settle()
        assert daemon.versions("new")[-1] == (4, 3, 5)
        assert daemon.head("new") == daemon.head("more") == ["1", "3"]
        assert daemon.read("new", 0, 3) == ["1", "2", "3"], "the versions before are what they were"
        await daemon.send(["4"])
        await daemon.settle()
        assert daemon.head("new") == daemon.head("more") == ["1", "3", "4"]
        for asset in ("s", "new", "more"):
            daemon.check_laws(asset)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("policy", ["new_only", "rebuild"])
async def test_new_code_goes_on_or_begins_anew(policy: str) -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    before = Manifest("d", (stream(),), (reader("new", "s", on_code_change=policy),))
    after = Manifest("e", (stream(),), (reader("new", "s", on_code_change=policy, code_key="c2"),))
    daemon = StreamDaemon(before, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"])
        await daemon.send(["2"])
        await daemon.settle()
        tasks.cancel_scope.cancel()
    runs = names(workers).count("new")
    daemon = StreamDaemon(after, workers, ledger.snapshot())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        assert names(workers).count("new") == runs + (policy == "rebuild")
        await daemon.send(["3"])
        await daemon.settle()
        assert daemon.head("new") == ["1", "2", "3"]
        assert daemon.versions("new")[-1][1] == (0 if policy == "new_only" else 2)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("policy", "runs"),
    [(Debounce(1.0, 60.0), 1), (Freshness(5.0), 1), (AnyNew(("s",)), 5), (Every(3.0), 1)],
)
async def test_a_refresh_policy_says_when_new_rows_are_read(policy: Policy, runs: int) -> None:
    workers = StreamWorkers()
    manifest = Manifest("d", (stream(),), (reader("new", "s", refresh=policy),))
    daemon = StreamDaemon(manifest, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        for i in range(5):
            await daemon.send([str(i)])
            await anyio.sleep(0.1)
        await anyio.sleep(20)
        await daemon.settle()
        assert daemon.head("new") == [str(i) for i in range(5)]
        assert names(workers).count("new") <= runs
        tasks.cancel_scope.cancel()


async def test_a_forced_run_that_fails_is_tried_again_as_such() -> None:
    workers = StreamWorkers()
    retry = Retry(attempts=3, delay_seconds=0.5)
    manifest = Manifest("d", (stream(),), (reader("new", "s", retry=retry),))
    daemon = StreamDaemon(manifest, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1", "2"])
        await daemon.settle()
        workers.fail = lambda t: Failed("killed", "k") if t.attempt == 1 else None
        workers.drops = lambda _name, row: row == "1"
        await daemon.ask("new", force=True)
        await daemon.settle()
        assert daemon.head("new") == ["2"]
        assert daemon.versions("new")[-1] == (2, 2, 3)
        tasks.cancel_scope.cancel()


async def test_bad_records_are_put_aside_and_the_rest_is_published() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1", "bad1", "2"])
        await daemon.send(["bad2", "bad3"])
        await daemon.settle()
        assert daemon.head("new") == ["1", "2"]
        assert daemon.dead() == [b"bad1", b"bad2", b"bad3"]
        states = daemon.ledger.reader.rows(
            "SELECT state FROM event WHERE source = 's' ORDER BY seq"
        )
        assert states == [("ingested",), ("dead",)]
        await daemon.send(["bad4"])
        await daemon.settle()
        assert daemon.versions("s")[-1][2] == 2, "no version of nothing"
        tasks.cancel_scope.cancel()


async def test_batches_wait_in_order_behind_one_that_cannot_be_read() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()

    def broken(task: Task) -> Failed | None:
        held = any(b"poison" in batch.payload for batch in task.batches)
        return Failed("unreadable", "the registry is down") if held else None

    workers.fail = broken
    daemon = StreamDaemon(CHAIN, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        daemon.reactor.dispatching = False
        for value in ("1", "poison", "2"):
            await daemon.send([value])
        daemon.reactor.dispatching = True
        daemon.reactor.wake()
        await daemon.settle()
        assert daemon.head("s") == ["1"], "what came before is published"
        await daemon.send(["3"])
        await daemon.settle()
        assert daemon.head("s") == ["1"], "what comes after waits"
        tried = len(workers.started)
        for _ in range(10):
            await daemon.send(["x"])
        assert len(workers.started) <= tried + 3, "it is not tried for each that comes"
        await daemon.settle()
        tasks.cancel_scope.cancel()
    workers.fail = lambda _task: None
    daemon = StreamDaemon(CHAIN, workers, ledger.snapshot())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        assert daemon.head("s") == daemon.head("more") == ["1", "poison", "2", "3", *"xxxxxxxxxx"]
        tasks.cancel_scope.cancel()


async def test_calls_of_a_webhook_that_were_not_read_are_read_after_a_restart() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = StreamDaemon(CHAIN, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        daemon.reactor.dispatching = False
        for number in "123":
            call = ObjectIdentity(f"e{number}", f"v{number}", 1, 1.0)
            await daemon.send([number], identity=call)
        tasks.cancel_scope.cancel()
    daemon = StreamDaemon(CHAIN, workers, ledger.snapshot())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        assert daemon.head("s") == ["1", "2", "3"]
        tasks.cancel_scope.cancel()


async def test_a_stream_that_halted_is_well_again_after_a_restart() -> None:
    """Who was told of its trouble is told of its end, and of the next trouble."""
    workers, ledger = StreamWorkers(), MemoryLedger()
    told: list[tuple[str, bool]] = []
    for trouble in (Failed("unreadable", "down"), None, Failed("unreadable", "down")):
        workers.fail = lambda t, trouble=trouble: trouble if t.name == "s" else None  # type: ignore[misc]
        daemon = StreamDaemon(CHAIN, workers, ledger)
        daemon.reactor.ports.on_trouble = lambda node, well: told.append((node.plan.name, well))
        async with anyio.create_task_group() as tasks:
            await daemon.start(tasks)
            await daemon.settle()
            await daemon.send([str(len(told))])
            await daemon.settle()
            tasks.cancel_scope.cancel()
        failures = daemon.ledger.reader.rows("SELECT asset FROM failure")
        assert failures == ([("s",)] if trouble else [])
        ledger = ledger.snapshot()
    assert told == [("s", False), ("s", True), ("s", False)]
    assert daemon.head("s") == ["0", "2"]


async def rest(daemon: StreamDaemon, rows: list[str]) -> None:
    """Pause the stream, and have rows come all the same."""
    pause = [{"kind": "asset", "name": "s", "partition": "*", "at": 0.0}]
    units = (("s", "*"),)
    await daemon.reactor.tell(
        lambda _epoch: ([Update("upsert", "pause", pause)], [Paused(units, on=True)])
    )
    for row in rows:
        await daemon.send([row])


async def resume(daemon: StreamDaemon) -> None:
    """Let the stream go on."""
    await daemon.reactor.tell(lambda _epoch: ([], [Paused((("s", "*"),), on=False)]))
    await daemon.settle()


LONG = [f"{number:01000}" for number in range(100)]


async def test_what_comes_while_a_stream_rests_does_not_stay_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal, "MOST_BYTES", 10_000)
    daemon = StreamDaemon(CHAIN, StreamWorkers(), MemoryLedger())
    known = daemon.reactor.journal
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await rest(daemon, LONG)
        assert 0 < sum(len(row["payload"]) for row in known.pending.values()) < 10_000
        await resume(daemon)
        assert daemon.head("more") == LONG
        assert known.pending == {}
        await daemon.send(["x"])
        await daemon.settle()
        assert daemon.head("more") == [*LONG, "x"]
        tasks.cancel_scope.cancel()


async def test_what_rests_is_not_waited_for_though_others_never_do() -> None:
    manifest = Manifest("d", (stream(), stream("t")), (reader("new", "t"),))
    daemon = StreamDaemon(manifest, StreamWorkers(), MemoryLedger())

    async def go_on() -> None:
        while True:
            await daemon.send(["x"], name="t")
            await anyio.sleep(0.001)

    async def at_once(_assets: set[str] | None) -> None:
        pass

    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await rest(daemon, ["1"])
        tasks.start_soon(go_on)
        await anyio.sleep(1.0)
        waiting = Waiting(daemon.reactor, at_once)
        assert await waiting.wait(None, 60.0)
        assert await waiting.wait([("new", "*")], 60.0)
        assert not daemon.reactor.idle
        tasks.cancel_scope.cancel()


async def test_what_is_held_up_elsewhere_is_not_waited_for() -> None:
    manifest = Manifest("d", (stream(), stream("t")), (reader("new", "t"), reader("newer", "new")))
    workers = StreamWorkers(lambda task: 1000.0 if task.name == "s" else 0.01)
    daemon = StreamDaemon(manifest, workers, MemoryLedger())

    async def at_once(_assets: set[str] | None) -> None:
        pass

    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"])
        await daemon.send(["2"], name="t")
        waiting = Waiting(daemon.reactor, at_once)
        assert await waiting.wait([("newer", "*")], 60.0)
        assert daemon.head("newer") == ["2"]
        assert not await waiting.wait([("s", "")], 60.0)
        assert not await waiting.wait(None, 60.0)
        tasks.cancel_scope.cancel()


async def test_a_start_does_not_load_what_came_while_a_stream_rests() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = StreamDaemon(CHAIN, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await rest(daemon, LONG)
        tasks.cancel_scope.cancel()
    daemon = StreamDaemon(CHAIN, workers, ledger.snapshot())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        assert daemon.reactor.journal.pending == {}
        await resume(daemon)
        assert daemon.head("more") == LONG
        tasks.cancel_scope.cancel()


async def test_a_stream_that_halted_goes_on_when_it_is_asked_for() -> None:
    workers = StreamWorkers()
    workers.fail = lambda t: Failed("unreadable", "down") if t.name == "s" else None
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"])
        await daemon.settle()
        view = Looks(daemon.reactor.planner).look("s", "", anyio.current_time())
        assert (view.state, view.reasons[0].detail) == ("failed", "down")
        workers.fail = lambda _task: None
        await daemon.ask("s", force=True)
        await daemon.settle()
        assert daemon.head("more") == ["1"]
        view = Looks(daemon.reactor.planner).look("s", "", anyio.current_time())
        assert view.state == "fresh"
        rows = daemon.ledger.reader.rows("SELECT failed_run FROM unit WHERE asset = 's'")
        assert rows == [(None,)]
        tasks.cancel_scope.cancel()


async def test_small_segments_become_one_and_no_version_changes() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = [str(i) for i in range(100)]
        for value in rows:
            await daemon.send([value])
            await daemon.settle()
        assert len(daemon.segments("s")) < 40
        assert len(daemon.segments("new")) < 40
        for asset in ("s", "new", "more"):
            daemon.check_laws(asset)
            for _, start, end in daemon.versions(asset):
                assert daemon.read(asset, start, end) == rows[start:end]
        held = len(workers.artifacts)
        await anyio.sleep(120)
        while await daemon.files().collect():
            deleted = daemon.ledger.reader.rows("SELECT COUNT(*) FROM garbage")
            assert deleted == [(0,)]
        assert held == len(workers.artifacts), "artifacts in memory are nobody's files"
        named = {uri for a in ("s", "new", "more") for _, _, uri in daemon.segments(a)}
        assert named <= set(workers.artifacts)
        tasks.cancel_scope.cancel()


async def test_rows_go_when_they_are_old_and_everybody_has_read_them() -> None:
    manifest = Manifest("d", (stream(keep_seconds=100.0),), (reader("new", "s"),))
    workers = StreamWorkers()
    daemon = StreamDaemon(manifest, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"])
        await daemon.settle()
        await anyio.sleep(60)
        workers.fail = lambda t: Failed("raised", "boom") if t.name == "new" else None
        await daemon.send(["2"])
        await daemon.settle()
        await anyio.sleep(120)
        await daemon.send(["3"])
        await daemon.settle()
        assert daemon.head("s") == ["2", "3"], "one that nobody has read stays"
        workers.fail = lambda _t: None
        await daemon.send(["4"])
        await daemon.settle()
        await daemon.send(["5"])
        await daemon.settle()
        assert daemon.head("s") == ["3", "4", "5"]
        assert daemon.segments("s")[0][0] == 1, "who reads as of the epoch before still can"
        for value in ("6", "7"):
            await daemon.send([value])
            await daemon.settle()
        assert daemon.segments("s")[0][0] == 2
        assert daemon.head("new") == ["1", "2", "3", "4", "5", "6", "7"]
        await anyio.sleep(200)
        assert await daemon.files().let_rows_go() == ["s"], "though nothing comes"
        await daemon.settle()
        assert daemon.head("s") == ["7"], "the last segment stays"
        assert await daemon.files().let_rows_go() == []
        daemon.check_laws("s")
        tasks.cancel_scope.cancel()


def rows_read(workers: StreamWorkers, name: str) -> list[int]:
    """How many rows each run of an asset was given."""
    return [
        sum(part.rows for part in task.inputs[0].parts)
        for task in workers.started
        if task.name == name
    ]


async def test_more_than_one_run_is_given_is_read_by_runs_that_follow_at_once() -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    manifest = Manifest(
        "d",
        (stream(),),
        (reader("new", "s"), reader("few", "s", new_rows=7), function("whole", "new", "few")),
    )
    daemon = StreamDaemon(manifest, workers, ledger, most_new=Most(rows=40))
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await daemon.backlog(100)
        await daemon.settle()
        assert rows_read(workers, "new") == [40, 40, 20]
        assert rows_read(workers, "few") == [7] * 14 + [2]
        assert daemon.head("new") == daemon.head("few") == rows
        assert daemon.versions("new") == [(1, 0, 40), (2, 0, 80), (3, 0, 100)]
        assert names(workers).count("whole") == 1, "who reads it waits for the rest"
        for asset in ("new", "few"):
            daemon.check_laws(asset)
        await daemon.ask("new", force=True)
        await daemon.settle()
        assert daemon.versions("new")[-3:] == [(4, 100, 140), (5, 100, 180), (6, 100, 200)]
        assert daemon.head("new") == rows
        tasks.cancel_scope.cancel()


async def test_a_run_is_given_no_more_bytes_than_that() -> None:
    workers = StreamWorkers()
    workers.bytes = 100
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger(), most_new=Most(bytes=2500))
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await daemon.backlog(60)
        await daemon.settle()
        assert rows_read(workers, "new") == rows_read(workers, "more") == [25, 25, 10]
        assert daemon.head("more") == rows
        tasks.cancel_scope.cancel()


async def test_a_restart_in_the_middle_of_a_backlog_goes_on_from_there() -> None:
    workers, ledger = StreamWorkers(lambda _task: 1.0), MemoryLedger()
    for _ in range(3):
        daemon = StreamDaemon(CHAIN, workers, ledger, most_new=Most(rows=10))
        async with anyio.create_task_group() as tasks:
            await daemon.start(tasks)
            if not daemon.versions("s"):
                rows = await daemon.backlog(100)
            await anyio.sleep(3.5)
            assert 0 < len(daemon.head("new")) < 100
            assert names(workers).count("more") == 0, "what it reads is not whole yet"
            tasks.cancel_scope.cancel()
        ledger = ledger.snapshot()
    daemon = StreamDaemon(CHAIN, workers, ledger, most_new=Most(rows=10))
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        assert daemon.head("new") == daemon.head("more") == rows
        daemon.check_laws("new")
        tasks.cancel_scope.cancel()


async def test_a_backlog_that_is_let_run_by_a_tick_is_read_to_its_end() -> None:
    manifest = Manifest("d", (stream(),), (reader("new", "s", refresh=Every(3600.0)),))
    workers = StreamWorkers()
    daemon = StreamDaemon(manifest, workers, MemoryLedger(), most_new=Most(rows=10))
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await daemon.backlog(35)
        await anyio.sleep(3601)
        await daemon.settle()
        assert rows_read(workers, "new") == [10, 10, 10, 5]
        assert daemon.head("new") == rows
        tasks.cancel_scope.cancel()


async def test_the_rest_of_a_backlog_does_not_wait_for_quiet_again() -> None:
    manifest = Manifest("d", (stream(),), (reader("new", "s", refresh=Debounce(10.0, 60.0)),))
    workers = StreamWorkers(lambda task: 1.0 if task.name == "new" else 0.01)
    daemon = StreamDaemon(manifest, workers, MemoryLedger(), most_new=Most(rows=10))
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await daemon.backlog(35)
        await anyio.sleep(10.5)
        await daemon.send(["x"])
        await anyio.sleep(5)
        assert rows_read(workers, "new") == [10, 10, 10, 6]
        assert daemon.head("new") == [*rows, "x"]
        tasks.cancel_scope.cancel()


async def test_a_run_that_fails_in_the_middle_of_a_backlog_keeps_what_was_read() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger(), most_new=Most(rows=10))
    workers.fail = lambda t: (
        Failed("raised", "boom") if t.name == "new" and t.inputs[0].parts[0].skip == 20 else None
    )
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        rows = await daemon.backlog(50)
        await daemon.settle()
        assert daemon.head("new") == rows[:20]
        assert Looks(daemon.reactor.planner).look("new", "", 0.0).state == "failed"
        assert daemon.head("more") == []
        workers.fail = lambda _task: None
        await daemon.send(["x"])
        await daemon.settle()
        assert daemon.head("new") == daemon.head("more") == [*rows, "x"]
        assert rows_read(workers, "new") == [10, 10, 10, 10, 10, 10, 1]
        assert Looks(daemon.reactor.planner).look("new", "", 0.0).state == "fresh"
        tasks.cancel_scope.cancel()


async def test_a_stream_that_halted_is_tried_again_by_itself_less_and_less_often() -> None:
    workers = StreamWorkers()
    tried: list[float] = []

    def broken(task: Task) -> Failed | None:
        if task.name != "s" or anyio.current_time() - started_at > 400:
            return None
        if task.attempt == 1:
            tried.append(round(anyio.current_time() - started_at))
        return Failed("unreadable", "the registry is down")

    workers.fail = broken
    daemon = StreamDaemon(CHAIN, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        started_at = anyio.current_time()
        await daemon.send(["1"])
        await daemon.settle()
        assert anyio.current_time() - started_at < 10, "who waits for the rest does not for this"
        view = Looks(daemon.reactor.planner).look("s", "", anyio.current_time())
        assert view.state == "failed"
        assert "tried again in" in view.reasons[1].detail
        for i in range(100):
            await anyio.sleep(0.1)
            await daemon.send([f"x{i}"])
        await anyio.sleep(1000)
        pauses = [b - a for a, b in pairwise(tried)]
        assert 10 <= pauses[0] < 14
        assert pauses == sorted(pauses)
        assert pauses[-1] >= 100
        rows = ["1", *(f"x{i}" for i in range(100))]
        assert daemon.head("s") == daemon.head("more") == rows
        assert Looks(daemon.reactor.planner).look("s", "", anyio.current_time()).state == "fresh"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("policy", ["new_only", "rebuild"])
async def test_other_parameters_are_as_other_code(policy: str) -> None:
    def manifest(limit: str) -> Manifest:
        given = {"limit": limit, "note": limit}
        new = reader("new", "s", on_code_change=policy, parameters=given, volatile=("note",))
        return Manifest("d", (stream(),), (new,))

    workers, ledger = StreamWorkers(), MemoryLedger()
    for round_, limit in enumerate(["3", "3", "4"]):
        daemon = StreamDaemon(manifest(limit), workers, ledger)
        async with anyio.create_task_group() as tasks:
            await daemon.start(tasks)
            await daemon.send([str(round_)])
            await daemon.settle()
            tasks.cancel_scope.cancel()
        ledger = ledger.snapshot()
    whole = policy == "rebuild"
    assert rows_read(workers, "new") == ([1, 1, 2, 1] if whole else [1, 1, 1])
    assert daemon.head("new") == ["0", "1", "2"]
    daemon = StreamDaemon(manifest("5"), workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        view = Looks(daemon.reactor.planner).look("new", "", anyio.current_time())
        assert view.state == "fresh"
        told = [reason.detail for reason in view.reasons]
        assert told == ([] if whole else ["made with other parameters (on_code_change)"])
        tasks.cancel_scope.cancel()


async def test_another_input_is_read_as_it_is_when_there_are_new_rows() -> None:
    manifest = Manifest("d", (stream(), source("prices")), (reader("new", "s", whole=["prices"]),))
    workers = StreamWorkers()
    daemon = StreamDaemon(manifest, workers, MemoryLedger())

    async def price(text: str) -> None:
        workers.files["landing/prices"] = text
        await daemon.arrive("prices", "")
        await daemon.settle()

    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await price("p1")
        await daemon.send(["1"])
        await daemon.settle()
        await price("p2")
        await price("p3")
        assert names(workers).count("new") == 1, "there are no rows to run over"
        assert Looks(daemon.reactor.planner).look("new", "", 0.0).state == "fresh"
        await daemon.send(["2"])
        await daemon.settle()
        assert daemon.head("new") == ["p1", "1", "p3", "2"]
        tasks.cancel_scope.cancel()
