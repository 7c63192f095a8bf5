"""Each record of a stream is published once and read once, whatever happens in between."""

from contextlib import suppress
from random import Random
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.manifest import Manifest
from afresh.assets.planner.segments import Most
from afresh.daemon.workers.task import Failed, Rejected, Task
from afresh.storage.ledger.memory import MemoryLedger
from support.clock import run_simulated
from support.examples import times
from support.simulated import function
from support.streaming import StreamDaemon, StreamWorkers, reader, stream

READERS = ("new", "more", "both", "side")


def manifest(codes: dict[str, str], *, policy: str) -> Manifest:
    """Two streams; readers of one, of a reader, of both; one with two outputs; one whole."""

    def code(name: str) -> dict[str, Any]:
        return {"code_key": codes.get(name, "c1"), "on_code_change": policy}

    return Manifest(
        "d",
        (stream("s"), stream("t")),
        (
            reader("new", "s", **code("new")),
            reader("more", "new", **code("more")),
            reader("both", "s", "t", outputs=("both", "side"), **code("both")),
            function("whole", "s", "new"),
        ),
    )


class Story:
    """A script played on daemons that crash; at its end all must be as if they had not."""

    def __init__(self, seed: int, policy: str, most_new: int) -> None:
        self.random, self.policy = Random(seed), policy
        self.most_new = Most(most_new)
        self.workers, self.ledger = StreamWorkers(self._seconds), MemoryLedger()
        self.codes: dict[str, str] = {}
        self.sent: dict[str, list[str]] = {"s": [], "t": []}
        self.bad: list[str] = []
        self.flaky = 0.0
        self.count = 0
        self.workers.fail = self._fail
        # An artifact of 2,000 bytes a row: tiers of merging are met within a few batches.
        self.workers.bytes = 2000

    def _seconds(self, _task: Task) -> float:
        return self.random.choice([0.001, 0.01, 0.3, 2.0])

    def _fail(self, task: Task) -> Failed | Rejected | None:
        if self.random.random() >= self.flaky:
            return None
        if task.kind == "run" and self.random.random() < 0.3:
            return Rejected(task.targets[-1].asset, "invalid")
        return Failed("killed", "killed")

    def run(self, script: list[tuple[int, int, int]]) -> None:
        """Play, a daemon after the other; then let all settle and check."""
        run_simulated(self._play, script)

    async def _play(self, script: list[tuple[int, int, int]]) -> None:
        left = list(script)
        while left:
            await self._live(left)
            self.ledger = self.ledger.snapshot()
        self.flaky = 0.0
        daemon = self._daemon()
        async with anyio.create_task_group() as tasks:
            await daemon.start(tasks)
            await daemon.settle()
            for name in ("s", "t"):
                # What failed for good is tried again when something comes.
                await self._send(daemon, name, [self._value(0)])
            await daemon.settle()
            self._check(daemon)
            tasks.cancel_scope.cancel()

    def _daemon(self) -> StreamDaemon:
        declared = manifest(self.codes, policy=self.policy)
        return StreamDaemon(declared, self.workers, self.ledger, most_new=self.most_new)

    async def _live(self, left: list[tuple[int, int, int]]) -> None:
        """One daemon, until the script is over or it crashes; what was not recorded comes again."""
        daemon = self._daemon()
        with suppress(ExceptionGroup), anyio.move_on_after(1000):
            async with anyio.create_task_group() as tasks:
                await daemon.start(tasks)
                while left:
                    op, x, y = left.pop(0)
                    if await self._act(daemon, op % 10, x, y):
                        break
                tasks.cancel_scope.cancel()

    async def _act(self, daemon: StreamDaemon, op: int, x: int, y: int) -> bool:
        name = "st"[x % 2]
        self.flaky = 0.3 if y % 3 == 0 else 0.0
        match op:
            case 0 | 1 | 2 | 3:
                values = [self._value(y + i) for i in range(1 + x % 4)]
                await self._send(daemon, name, values)
            case 4:
                for i in range(20):
                    await self._send(daemon, name, [self._value(y + i)])
            case 5:
                await anyio.sleep((0.01, 0.2, 1.0, 5.0)[x % 4])
            case 6:
                await daemon.ask(READERS[x % len(READERS)], force=True)
            case 7:
                changed = READERS[x % 3]
                self.codes[changed] = f"c{y}"
                if x % 2:
                    await daemon.reload(manifest(self.codes, policy=self.policy))
                return x % 2 == 0
            case 8:
                return True
            case 9:
                self.ledger.crash_after(1 + x % 7, lose_answer=bool(y % 2))
        return False

    def _value(self, y: int) -> str:
        self.count += 1
        return f"bad{self.count}" if y % 5 == 4 else str(self.count)

    async def _send(self, daemon: StreamDaemon, name: str, values: list[str]) -> None:
        """As a sensor: after a crash it goes on behind the cursor that the ledger has."""
        self.pending = (name, values)
        await daemon.send(values, name)
        self.sent[name] += values

    def _check(self, daemon: StreamDaemon) -> None:
        for task in self.workers.started:
            for item in task.inputs if task.appends else ():
                read = sum(part.rows for part in item.parts)
                assert read <= self.most_new.rows, "no run is given more"
        sent = {name: self._recorded(daemon, name) for name in ("s", "t")}
        for name, values in sent.items():
            acknowledged = [value for value in self.sent[name] if value not in values]
            assert not acknowledged, "what was acknowledged is recorded"
        good = {
            name: [value for value in values if not value.startswith("bad")]
            for name, values in sent.items()
        }
        for name in ("s", "t"):
            assert daemon.head(name) == good[name], "what is published is what came, in order"
        for name in ("new", "more"):
            assert daemon.head(name) == good["s"], (name, "has read each row once")
        both = daemon.head("both")
        assert daemon.head("side") == both
        assert sorted(both) == sorted(good["s"] + good["t"])
        whole = self.workers.artifacts[daemon.uri("whole")]
        assert sorted(whole) == sorted(good["s"] * 2), "a cut of both"
        dead = [v.decode() for v in daemon.dead() if v is not None]
        bad = [value for values in sent.values() for value in values if value.startswith("bad")]
        assert sorted(dead) == sorted(bad), "each bad record is one dead letter"
        for asset in ("s", "t", "new", "more", "both", "side"):
            daemon.check_laws(asset)
        pending = daemon.ledger.reader.rows("SELECT COUNT(*) FROM event WHERE state = 'pending'")
        assert pending == [(0,)]

    def _recorded(self, daemon: StreamDaemon, name: str) -> list[str]:
        return daemon.recorded(name)


scripts = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99)), max_size=25
)


@times(0.6)
@given(
    scripts,
    st.integers(0, 2**16),
    st.sampled_from(["new_only", "rebuild"]),
    st.sampled_from([1, 3, 7, 1_000_000]),
)
def test_each_row_is_published_and_read_once(
    script: list[tuple[int, int, int]], seed: int, policy: str, most_new: int
) -> None:
    Story(seed, policy, most_new).run(script)
