"""A restart neither hurries nor delays what waits: debounce goes on, budgets stay spent."""

import anyio
import pytest

from afresh.assets.manifest import Manifest
from afresh.assets.policy import AllNew, Budget, Debounce, Every
from afresh.sensors.base import Arrival, Batch
from afresh.sensors.records import Record, encode_records
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import Daemon, Workers, function, source
from support.streaming import StreamDaemon, StreamWorkers, reader, stream


async def live(daemon: Daemon, seconds: float, *arrivals: tuple[str, str, str]) -> MemoryLedger:
    """Run a daemon for so long; each arrival is (source, key, content) at its start."""
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        for name, key, content in arrivals:
            path = f"landing/{name}/{key}" if key else f"landing/{name}"
            daemon.reactor.ports.executor.files[path] = content  # type: ignore[attr-defined]
            await daemon.arrive(name, key)
        await anyio.sleep(seconds)
        tasks.cancel_scope.cancel()
    return daemon.ledger.snapshot()


def runs(workers: Workers, name: str) -> int:
    return sum(task.name == name for task in workers.started)


@pytest.mark.parametrize("restarts", [0, 1, 4])
@pytest.mark.parametrize("known", [False, True])
async def test_a_debounced_asset_waits_as_long_as_without_a_restart(
    restarts: int, *, known: bool
) -> None:
    policy = Debounce(quiet_seconds=10.0, longest_seconds=60.0)
    manifest = Manifest("d", (source("s"),), (function("f", "s", refresh=policy),))
    workers, ledger = Workers(), MemoryLedger()
    if known:
        ledger = await live(Daemon(manifest, workers, ledger), 30.0, ("s", "", "before"))
        assert runs(workers, "f") == 1
    before, began_at = runs(workers, "f"), anyio.current_time()
    ledger = await live(Daemon(manifest, workers, ledger), 1.0, ("s", "", "x"))
    for _ in range(restarts):
        ledger = await live(Daemon(manifest, workers, ledger), 1.0)
    async with anyio.create_task_group() as tasks:
        daemon = Daemon(manifest, workers, ledger)
        await daemon.start(tasks)
        await anyio.sleep(began_at + 9.9 - anyio.current_time())
        assert runs(workers, "f") == before
        await anyio.sleep(0.5)
        assert runs(workers, "f") == before + 1
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("restarts", [0, 3])
async def test_a_budget_that_is_spent_stays_so(restarts: int) -> None:
    manifest = Manifest("d", (source("s", "k", budget=Budget(3, 60.0)),))
    workers, ledger = Workers(), MemoryLedger()
    began_at = anyio.current_time()
    arrivals = [("s", str(i), "x") for i in range(10)]
    ledger = await live(Daemon(manifest, workers, ledger), 1.0, *arrivals)
    assert len(workers.started) == 3
    for _ in range(restarts):
        ledger = await live(Daemon(manifest, workers, ledger), 1.0)
    assert len(workers.started) == 3
    daemon = Daemon(manifest, workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await anyio.sleep(began_at + 19 - anyio.current_time())
        assert len(workers.started) == 3
        await anyio.sleep(2)
        assert len(workers.started) == 4
        await daemon.settle()
        assert len(workers.started) == 10
        assert anyio.current_time() - began_at == pytest.approx(140, abs=2)
        tasks.cancel_scope.cancel()


async def test_runs_name_the_tick_that_caused_them() -> None:
    functions = (
        function("clock", refresh=Every(60.0)),
        function("hands", "clock"),
        function("late", "s", refresh=Every(60.0)),
        function("later", "late"),
    )
    manifest = Manifest("d", (source("s"),), functions)
    workers = Workers()
    daemon = Daemon(manifest, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        workers.files["landing/s"] = "x"
        await daemon.arrive("s", "")
        await anyio.sleep(61.0)
        await daemon.settle()
        kinds = dict(daemon.ledger.reader.rows("SELECT asset, cause_kind FROM run"))
        ticked = dict.fromkeys(("clock", "hands", "late", "later"), "tick")
        assert kinds == ticked | {"s": "arrived"}
        tasks.cancel_scope.cancel()


async def test_a_schedule_that_is_a_source_is_the_cause_of_its_rows() -> None:
    manifest = Manifest("d", (stream(),), (reader("new", "s"), reader("more", "new")))
    daemon = StreamDaemon(manifest, StreamWorkers(), MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        payload = encode_records([Record(b"1")])
        tick = Arrival("every://1m/60", "tick", "", anyio.current_time(), payload=payload)
        await daemon.reactor.record(Batch("s", (tick,)))
        await daemon.settle()
        kinds = dict(daemon.ledger.reader.rows("SELECT asset, cause_kind FROM run"))
        assert kinds == dict.fromkeys(("s", "new", "more"), "tick")
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_came_before_a_tombstone_is_as_new_as_without_a_restart(
    *, restarted: bool
) -> None:
    """No version was made of it: it counts when what was deleted is there again."""
    sources = tuple(source(name, "k", on_delete="propagate") for name in "ab")
    both = function("both", "a", "b", own=("a", "b"), refresh=AllNew(("a", "b")))
    manifest, workers = Manifest("d", sources, (both,)), Workers()
    daemon = Daemon(manifest, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await _bring(daemon, workers, ("a", "old"), ("b", "old"))
        await _bring(daemon, workers, ("a", None))
        await _bring(daemon, workers, ("b", "new"))
        assert runs(workers, "both") == 1
        assert daemon.ledger.reader.rows("SELECT deleted FROM unit WHERE asset = 'both'") == [(1,)]
        if not restarted:
            await _bring(daemon, workers, ("a", "newer"))
        tasks.cancel_scope.cancel()
    if restarted:
        await live(Daemon(manifest, workers, daemon.ledger.snapshot()), 1.0, ("a", "1", "newer"))
    assert runs(workers, "both") == 2


async def _bring(daemon: Daemon, workers: Workers, *changes: tuple[str, str | None]) -> None:
    """Write, or delete, the file of each of these sources."""
    for name, content in changes:
        if content is not None:
            workers.files[f"landing/{name}/1"] = content
        await daemon.arrive(name, "1", deleted=content is None)
    await daemon.settle()
