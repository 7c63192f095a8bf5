"""A daemon's reactor on a simulated clock, ledger and executor: crash and restart it at will."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup

from afresh.assets.manifest import Function, Input, Manifest, Output, Sensor, Source
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.segments import Most
from afresh.assets.planner.topology import Topology
from afresh.daemon.definitions.takeover import definitions_rows, rebuild
from afresh.daemon.journal import Journal
from afresh.daemon.ports import Executor, Ports
from afresh.daemon.reactor import Reactor
from afresh.daemon.streams.segments import load_streams
from afresh.daemon.workers.task import Failed, Rejected, Result, Task, Written
from afresh.sensors.base import Arrival, Batch, Identity
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.commit import Commit
from afresh.storage.ledger.memory import MemoryLedger

Work = Callable[[Task], Awaitable[Result]]
_NEVER_SECONDS = 20_000.0
"""On the clock that jumps: within a minute or two of a real one."""
_FINGERPRINTS = """
SELECT u.asset, u.partition, v.fingerprint FROM unit u JOIN version v
ON v.asset = u.asset AND v.partition = u.partition AND v.version = u.version
"""


def source(name: str, *captures: str, **more: Any) -> Source:
    """Declare a source of files."""
    pattern = f"landing/{name}" + "".join(f"/{{{c}}}" for c in captures)
    sensor = Sensor("file", {"pattern": pattern, "settle_seconds": 0.0})
    return Source(name, sensor, captures=captures, code_key="c1", **more)


def function(name: str, *inputs: str, own: tuple[str, ...] = (), **more: Any) -> Function:
    """Declare an asset that reads others whole, or by its own partition where `own` names them."""
    edges = tuple(Input(i, i, "own" if i in own else "all", "pandas") for i in inputs)
    given = {"code_key": "c1", "outputs": (Output(name, "pandas"),), **more}
    return Function(name, edges, partitions=own, **given)


class Workers:
    """Runs tasks by plain functions: what a run gives is a text made of what it read."""

    def __init__(self, seconds: Callable[[Task], float] = lambda _task: 0.01) -> None:
        self.size = 2
        self.lent = 0
        self.files: dict[str, str] = {}
        self.identities: dict[str, Identity] = {}
        self.contents: dict[str, str] = {}
        self.started: list[Task] = []
        self.seconds = seconds
        self.fail: Callable[[Task], Failed | Rejected | None] = lambda _task: None

    async def run(self, task: Task, recorded: anyio.Event) -> Result:
        """Take the time once the run is recorded, then give back what it makes."""
        await recorded.wait()
        self.started.append(task)
        await anyio.sleep(self.seconds(task))
        trouble = self.fail(task)
        if isinstance(trouble, Failed):
            return Result(task.run, failed=trouble)
        if isinstance(trouble, Rejected):
            return Result(task.run, (trouble,))
        if task.kind == "ingest":
            if task.path not in self.files:
                return Result(task.run, failed=Failed("vanished", "gone"))
            made = self.files[task.path]
        else:
            parts = [
                f"{item.asset}[{part.partition}]={self.contents[part.uri]}"
                for item in task.inputs
                for part in item.parts
            ]
            made = f"{task.name}({', '.join(parts)})"
        for target in task.targets:
            self.contents[target.uri] = made
        return Result(
            task.run,
            identity=self.identities.get(task.path),
            outputs=tuple(
                Written(t.asset, t.uri, made, {"value": made}, 1, 1, "hash", "")
                for t in task.targets
            ),
        )


class Daemon:
    """A reactor over a memory ledger; `crash` and make another over its `ledger.snapshot()`."""

    def __init__(
        self,
        manifest: Manifest,
        workers: Executor,
        ledger: MemoryLedger,
        *,
        max_wait: float = 1.0,
        most_new: Most | None = None,
    ) -> None:
        self.ledger, self.manifest = ledger, manifest
        ids = iter(range(10**9))
        state = saved.load_state(ledger.reader.rows)
        journal = Journal(state.seq, ledger.reader.rows)
        journal.restore(state.pending)
        self.discarded: list[str] = []
        ports = Ports(
            now=anyio.current_time,
            new_id=lambda: f"r{state.seq:06d}{next(ids):06d}",
            random=Random(1),
            ledger=ledger,
            executor=workers,
            require=(),
            artifacts="memory://a",
            path_of=str,
            relative_of=str,
            discard=self._discard,
            most_new=most_new or Most(),
        )
        planner = Planner(Topology(), max_wait_seconds=max_wait)
        self.reactor = Reactor(planner, journal, ports, load_streams(ledger.reader.rows))

    async def _discard(self, uris: list[str]) -> None:
        self.discarded += uris

    async def start(self, tasks: TaskGroup) -> None:
        """Record the definitions, rebuild the planner, run."""
        reader = self.ledger.reader
        epoch = saved.load_state(reader.rows).epoch + 1
        rows = definitions_rows(self.reactor, self.manifest, None, reader, epoch)
        await self.ledger.commit(Commit(tuple(rows)))
        self.reactor.planner = rebuild(self.reactor, self.manifest, reader, epoch)
        tasks.start_soon(self.reactor.run)
        self.reactor.wake()

    async def arrive(
        self, name: str, key: str, *, deleted: bool = False, identity: Identity | None = None
    ) -> None:
        """Hand on one arrival, as a sensor does."""
        uri = f"landing/{name}/{key}" if key else f"landing/{name}"
        at = anyio.current_time()
        arrival = Arrival(uri, "deleted" if deleted else "arrived", key, at, identity)
        await self.reactor.record(Batch(name, (arrival,)))

    async def settle(self) -> None:
        """Wait until nothing is under way or due. Raises TimeoutError where that never comes."""
        with anyio.fail_after(_NEVER_SECONDS):
            while not self.reactor.idle:
                with anyio.move_on_after(0.05):
                    await self.reactor.changed()

    def heads(self) -> dict[tuple[str, str], str]:
        """Each unit's head as the ledger has it: its fingerprint, made of values here."""
        rows = self.ledger.reader.rows(_FINGERPRINTS)
        return {(asset, key): fingerprint for asset, key, fingerprint in rows}
