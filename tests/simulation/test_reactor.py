"""The reactor on a simulated clock: what arrives is downstream, once, whatever fails."""

import json
from collections.abc import Callable
from contextlib import suppress

import anyio
import pytest

from afresh.assets.manifest import Manifest
from afresh.daemon.workers.task import Failed, Task
from afresh.sensors.base import Identity
from afresh.storage.ledger.commit import Commit, Done
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import Daemon, Workers, function, source

DIAMOND = Manifest(
    "d",
    (source("s", "k"),),
    (
        function("clean", "s", own=("s",)),
        function("left", "clean"),
        function("right", "clean"),
        function("top", "left", "right"),
    ),
)


async def test_arrival_is_downstream_once() -> None:
    workers, ledger = Workers(), MemoryLedger()
    daemon = Daemon(DIAMOND, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        workers.files["landing/s/a"] = "1"
        await daemon.arrive("s", "a")
        await daemon.settle()
        assert daemon.heads()["top", ""] == (
            "top(left[]=left(clean[a]=clean(s[a]=1)), right[]=right(clean[a]=clean(s[a]=1)))"
        )
        assert sorted(t.name for t in workers.started) == ["clean", "left", "right", "s", "top"]
        await daemon.arrive("s", "a")
        await daemon.settle()
        assert len(workers.started) == 6, "equal content is read, and stops there"
        tasks.cancel_scope.cancel()


async def test_burst_is_coalesced() -> None:
    workers, ledger = Workers(), MemoryLedger()
    daemon = Daemon(DIAMOND, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        for i in range(100):
            workers.files[f"landing/s/{i:03d}"] = str(i)
            await daemon.arrive("s", f"{i:03d}")
        await daemon.settle()
        names = [task.name for task in workers.started]
        assert names.count("clean") == 100
        assert names.count("top") <= 4
        assert daemon.heads()["top", ""].count("clean[") == 200
        tasks.cancel_scope.cancel()


async def test_failure_keeps_the_last_good_and_is_mended_by_the_next_arrival() -> None:
    workers, ledger = Workers(), MemoryLedger()
    daemon = Daemon(DIAMOND, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        workers.files["landing/s/a"] = "1"
        await daemon.arrive("s", "a")
        await daemon.settle()
        good = daemon.heads()["top", ""]

        def fail(task: Task) -> Failed | None:
            return Failed("raised", "boom") if task.name == "left" else None

        workers.fail = fail
        workers.files["landing/s/a"] = "2"
        await daemon.arrive("s", "a")
        await daemon.settle()
        assert daemon.heads()["top", ""] == good
        workers.fail = lambda _task: None
        workers.files["landing/s/a"] = "3"
        await daemon.arrive("s", "a")
        await daemon.settle()
        assert "=3" in daemon.heads()["top", ""]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("commits", range(1, 14))
async def test_crash_anywhere_loses_and_doubles_nothing(commits: int) -> None:
    workers, ledger = Workers(), MemoryLedger()
    workers.files["landing/s/a"] = "1"
    first = Daemon(DIAMOND, workers, ledger)
    acknowledged = False
    with anyio.move_on_after(30):
        # However the crash shows itself.
        with suppress(ExceptionGroup):
            async with anyio.create_task_group() as tasks:
                await first.start(tasks)
                ledger.crash_after(commits)
                await first.arrive("s", "a")
                acknowledged = True
                await first.settle()
                tasks.cancel_scope.cancel()
    second = Daemon(DIAMOND, workers, ledger.snapshot())
    async with anyio.create_task_group() as tasks:
        await second.start(tasks)
        if not acknowledged:
            await second.arrive("s", "a")
        await second.settle()
        assert "=1" in second.heads()["top", ""]
        rows = second.ledger.reader.rows("SELECT asset, COUNT(*) FROM version GROUP BY asset")
        assert all(count == 1 for _, count in rows), rows
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("lose_answer", [False, True])
@pytest.mark.parametrize("commits", range(2, 40, 3))
async def test_crash_in_a_stream_ends_where_no_crash_would(commits: int, lose_answer: bool) -> None:
    """Arrivals, an overwrite and a deletion; what was not acknowledged is offered again."""
    steps = [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", None), ("c", "5")]

    async def feed(daemon: Daemon, left: list[tuple[str, str | None]]) -> None:
        while left:
            key, content = left[0]
            path = f"landing/s/{key}"
            if content is None:
                workers.files.pop(path, None)
            else:
                workers.files[path] = content
            await daemon.arrive("s", key, deleted=content is None)
            left.pop(0)
            await anyio.sleep(0.02)

    workers, ledger, left = Workers(), MemoryLedger(), list(steps)
    first = Daemon(DIAMOND, workers, ledger)
    with anyio.move_on_after(30):
        async with anyio.create_task_group() as tasks:
            await first.start(tasks)
            ledger.crash_after(commits, lose_answer=lose_answer)
            await feed(first, left)
            await first.settle()
            tasks.cancel_scope.cancel()
    second = Daemon(DIAMOND, workers, ledger.snapshot())
    async with anyio.create_task_group() as tasks:
        await second.start(tasks)
        await feed(second, left)
        await second.settle()
        top = second.heads()["top", ""]
        assert top.count("s[a]=3") == top.count("s[b]=2") == top.count("s[c]=5") == 2, top
        rows = second.ledger.reader.rows(
            "SELECT COUNT(*) FROM version GROUP BY asset, partition, fingerprint"
        )
        assert all(count == 1 for (count,) in rows), "published twice"
        pending = second.ledger.reader.rows("SELECT COUNT(*) FROM event WHERE state = 'pending'")
        assert pending == [(0,)]
        tasks.cancel_scope.cancel()


async def test_what_an_ingest_read_never_takes_back_a_newer_arrival() -> None:
    """Else a scan after a restart would find the newer state again: one delivery, two events."""
    workers, ledger = Workers(), MemoryLedger()
    daemon = Daemon(DIAMOND, workers, ledger)
    first, second = Identity(1, 1, 1, 1), Identity(2, 2, 2, 2)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        workers.files["landing/s/a"] = "1"
        workers.identities["landing/s/a"] = first
        await daemon.arrive("s", "a", identity=first)
        await anyio.sleep(0.005)  # its ingest is under way, on the simulated clock
        await daemon.arrive("s", "a", identity=second)
        await anyio.sleep(0.006)
        assert len(workers.started) == 2
        rows = ledger.reader.rows("SELECT identity FROM path")
        assert [tuple(json.loads(row[0])) for row in rows] == [(2, 2, 2, 2)]
        tasks.cancel_scope.cancel()


async def test_a_stop_waits_for_what_runs_and_not_for_what_always_comes() -> None:
    workers = Workers(lambda _task: 2.0)
    manifest = Manifest("d", (source("s", "k"), source("t")), ())
    async with anyio.create_task_group() as tasks:

        async def commit_slowly(answer: Callable[[], None]) -> None:
            await anyio.sleep(0.05)
            answer()

        async def go_on(daemon: Daemon, key: str) -> None:
            while True:
                await daemon.arrive("s", key)
                await anyio.sleep(0.01)

        def post(answer: Callable[[], None]) -> None:
            tasks.start_soon(commit_slowly, answer)

        ledger = MemoryLedger(post)
        daemon = Daemon(manifest, workers, ledger)
        await daemon.start(tasks)
        workers.files["landing/t"] = "1"
        await daemon.arrive("t", "")
        for key in "abc":
            tasks.start_soon(go_on, daemon, key)
            await anyio.sleep(0.02)
        with anyio.fail_after(3):
            await daemon.reactor.drain()
        rows = ledger.reader.rows("SELECT state FROM event WHERE source = 't'")
        assert rows == [("ingested",)]
        tasks.cancel_scope.cancel()


async def test_what_is_known_again_is_recorded_once_and_its_trouble_is_over() -> None:
    """Also of units that only a look at the start shows to be what they were."""
    workers, ledger = Workers(), MemoryLedger()
    manifest = Manifest("d", (source("s"),), (function("f", "s"), function("g", "f")))
    daemon = Daemon(manifest, workers, ledger)
    commits: list[Commit] = []
    told: list[tuple[str, bool]] = []
    submit = ledger.submit

    def watched(commit: Commit, done: Done) -> None:
        commits.append(commit)
        submit(commit, done)

    async def arrive(content: str) -> None:
        workers.files["landing/s"] = content
        await daemon.arrive("s", "")
        await daemon.settle()

    daemon.reactor.ports.on_trouble = lambda node, well: told.append((node.plan.name, well))
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await arrive("1")
        workers.fail = lambda task: Failed("raised", "boom") if task.name == "g" else None
        await arrive("2")
        assert told == [("g", False)]
        ledger.submit = watched  # type: ignore[method-assign]
        await arrive("1")
        assert told == [("g", False), ("g", True)]
        tasks.cancel_scope.cancel()
    for commit in commits:
        rows = [
            (row["asset"], row["partition"])
            for update in commit.updates
            if update.table == "unit"
            for row in update.rows
        ]
        assert len(rows) == len(set(rows)), rows
    assert sum(update.table == "validity" for c in commits for update in c.updates) == 3
