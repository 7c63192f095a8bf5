"""Stored data held against other schemas on a simulated clock: in order, beside all other work."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest

from afresh.assets.manifest import Column, Manifest, Schema
from afresh.daemon.definitions import revalidation, validator
from afresh.daemon.definitions.revalidation import Revalidation
from afresh.daemon.streams.compaction import Compaction
from afresh.daemon.workers.task import Failed, Part, Result, Task, Verdict, Written
from afresh.storage.ledger import validations
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import source
from support.streaming import StreamDaemon, StreamWorkers, stream


def manifest(version: str, *checks: str, name: str = "S", kept: tuple[str, ...] = ()) -> Manifest:
    """Declare a source of files and a stream, both with this version of a schema."""
    column = Column("value", "string", checks=checks, native="str")
    schema = Schema("S", (column,), "open", "", version, rules=("library pandas",))
    files, records = source("a", "k", schema=name), stream()
    return Manifest(
        f"digest of {version} {name} {kept}",
        (files, msgspec.structs.replace(records, schema=name)),
        schemas={"S": schema},
        kept=kept,
    )


class Judges(StreamWorkers):
    """Workers of the generation `schema`, which says of each row whether it `is_bad`."""

    def __init__(self, schema: str = "v1") -> None:
        super().__init__()
        self.schema = schema
        self.is_bad: Callable[[str], bool] = lambda row: "bad" in row
        self.judging: Callable[[Task], Failed | None] = lambda _task: None
        self.judge_seconds = 0.02
        self.judged: list[tuple[str, int]] = []
        self.cancelled = 0
        self.seats = anyio.CapacityLimiter(2)

    async def run(self, task: Task, recorded: anyio.Event) -> Result:
        """Judge, or do what the others do, where there is a seat."""
        self.seats.total_tokens = self.size
        async with self.seats:
            return await self._work(task, recorded)

    async def _work(self, task: Task, recorded: anyio.Event) -> Result:
        if task.kind != "validate":
            result = await super().run(task, recorded)
            outputs = [
                msgspec.structs.replace(output, schema_version=self.schema)
                if isinstance(output, Written)
                else output
                for output in result.outputs
            ]
            return msgspec.structs.replace(result, outputs=tuple(outputs))
        (item,) = task.inputs
        try:
            await anyio.sleep(self.judge_seconds * len(item.parts))
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        if failed := self.judging(task):
            return Result(task.run, failed=failed)
        verdicts = tuple(self._verdict(part) for part in item.parts)
        self.judged += [(part.partition, part.version) for part in item.parts]
        return Result(task.run, verdicts=verdicts, seconds=self.judge_seconds * len(item.parts))

    def _verdict(self, part: Part) -> Verdict:
        bad = [row for row in self.artifacts[part.uri] if self.is_bad(row)]
        if bad:
            return Verdict("suspect", self.schema, f"Expected good rows, found {bad[0]!r}", (), 1)
        return Verdict("ok", self.schema)


class Told:
    """Who is told."""

    def __init__(self) -> None:
        self.open: dict[str, str] = {}
        self.count: Counter[tuple[str, str]] = Counter()

    def failed(self, subject: str, error: str, why: tuple[str, ...], owner: str) -> None:
        assert error
        assert why
        del owner
        if subject not in self.open:
            self.count[subject, "failed"] += 1
        self.open[subject] = error

    def recovered(self, subject: str, owner: str) -> None:
        del owner
        if self.open.pop(subject, None) is not None:
            self.count[subject, "recovered"] += 1


class World:
    """A daemon that keeps its stored data under watch."""

    def __init__(self, workers: Judges, ledger: MemoryLedger, told: Manifest) -> None:
        self.workers, self.ledger, self.told = workers, ledger, Told()
        self.daemon = StreamDaemon(told, workers, ledger)

    async def land(self, key: str, text: str) -> None:
        """Have a file arrive."""
        self.workers.files[f"landing/a/{key}"] = text
        await self.daemon.arrive("a", key)

    async def reload(self, new: Manifest, schema: str) -> None:
        """Take other definitions over."""
        self.workers.schema = schema
        await self.daemon.reload(new)
        self.watch.wake()

    def left(self) -> list[str]:
        return [row[0] for row in self.ledger.reader.rows(validations.REVALIDATIONS)]

    def states(self) -> dict[tuple[str, int], str]:
        rows = self.ledger.reader.rows("SELECT partition, version, state FROM validation")
        return {(partition, version): state for partition, version, state in rows}

    async def done(self) -> None:
        """Wait until nothing is left."""
        with anyio.fail_after(1000):
            while self.left():
                await self.watch.heads_done(None)
                await anyio.sleep(0.5)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            await self.daemon.start(tasks)
            await self.watching(tasks)
            yield
            tasks.cancel_scope.cancel()

    async def watching(self, tasks: Any) -> None:
        reactor, read = self.daemon.reactor, self.ledger.reader.rows
        self.watch = Revalidation(reactor, read, lambda: self.daemon.manifest, self.told)
        tasks.start_soon(self.watch.run)


@pytest.fixture
async def world() -> World:
    return World(Judges(), MemoryLedger(), manifest("v1"))


TIGHT = manifest("v2", 'str_length{"max_value": 3}')


async def test_heads_come_first_and_each_version_once(world: World) -> None:
    async with world.up():
        for number, key in enumerate("xyxyz"):
            await world.land(key, f"{key}{number}" + ("bad" if number == 1 else ""))
            await world.daemon.settle()
        await world.reload(TIGHT, "v2")
        await world.watch.heads_done({"a"})
        assert world.workers.judged == [("x", 2), ("y", 2), ("z", 1)]
        assert world.told.open == {}, "what is suspect is no head"
        await world.done()
        assert world.workers.judged[3:] == [("x", 1), ("y", 1)]
        assert world.states() == {
            ("x", 1): "ok", ("x", 2): "ok", ("y", 1): "suspect", ("y", 2): "ok", ("z", 1): "ok",
        }  # fmt: skip
        await world.land("x", "new")
        await world.daemon.settle()
        await world.reload(manifest("v3", 'str_length{"max_value": 4}'), "v3")
        await world.done()
        assert len(world.workers.judged) == 6, "looser: only what is suspect is looked at"
        assert world.workers.judged[-1] == ("y", 1)


async def test_definitions_that_come_as_the_last_is_looked_at_bring_it_anew(world: World) -> None:
    world.workers.judge_seconds = 5.0
    async with world.up():
        await world.land("x", "good")
        await world.daemon.settle()
        await world.reload(TIGHT, "v2")
        await anyio.sleep(2.0)
        await world.daemon.reload(manifest("v3", 'str_length{"max_value": 2}'))
        await anyio.sleep(10.0)
        assert world.workers.judged == [("x", 1)]
        world.workers.schema = "v3"
        world.watch.wake()
        await world.done()
        assert world.workers.judged == [("x", 1), ("x", 1)]


async def test_an_owner_is_told_once_and_of_the_end(world: World) -> None:
    async with world.up():
        for key in "xyz":
            await world.land(key, "bad" if key < "z" else "good")
        await world.daemon.settle()
        await world.reload(TIGHT, "v2")
        await world.done()
        await anyio.sleep(10)
        assert "2 stored versions fail S: a[x]@1" in world.told.open["schema of a"]
        await world.land("x", "fine")
        await world.daemon.settle()
        await anyio.sleep(10)
        assert "schema of a" in world.told.open, "one is left"
        await world.land("y", "fine")
        await world.daemon.settle()
        await anyio.sleep(10)
        assert world.told.count == {("schema of a", "failed"): 1, ("schema of a", "recovered"): 1}


async def test_what_arrives_takes_the_only_worker(world: World) -> None:
    world.workers.size = 1
    async with world.up():
        for key in "xyz":
            await world.land(key, "good")
        await world.daemon.settle()
        world.workers.judge_seconds = 10.0
        await world.reload(TIGHT, "v2")
        await anyio.sleep(3)
        begin = anyio.current_time()
        await world.land("new", "good")
        await world.daemon.settle()
        assert world.workers.cancelled == 1
        assert anyio.current_time() - begin < validator.PATIENCE_SECONDS + 0.2
        # One that comes every five seconds cannot keep it from ever coming to an end.
        for number in range(40):
            await anyio.sleep(5)
            await world.land("new", f"good {number}")
        await world.done()
        assert sorted(set(world.workers.judged)) == [("x", 1), ("y", 1), ("z", 1)]


async def test_one_that_kills_workers_costs_itself_alone(world: World) -> None:
    async with world.up():
        for key in "uvwxyz":
            await world.land(key, "kill" if key == "x" else "good")
        await world.daemon.settle()
        rows = world.workers.artifacts
        world.workers.judging = lambda task: (
            Failed("killed", "SIGKILL")
            if any("kill" in rows[part.uri] for part in task.inputs[0].parts)
            else None
        )
        await world.reload(TIGHT, "v2")
        await world.done()
        assert world.states() == {(key, 1): "unread" if key == "x" else "ok" for key in "uvwxyz"}
        assert world.told.open == {}


async def test_what_cannot_be_done_at_present_is_tried_again(world: World) -> None:
    async with world.up():
        await world.land("x", "bad")
        await world.daemon.settle()
        world.workers.judging = lambda _task: Failed("storage", "the store is away")
        await world.reload(TIGHT, "v2")
        await world.watch.heads_done(None)
        await anyio.sleep(1)
        assert world.watch.idle, "nobody is kept waiting for it"
        assert world.left() == ["a"]
        world.workers.judging = lambda _task: None
        await anyio.sleep(revalidation.RETRY_SECONDS)
        await world.done()
        assert world.states() == {("x", 1): "suspect"}


async def test_it_goes_on_after_a_crash(world: World) -> None:
    async with world.up():
        for number in range(40):
            await world.land(f"{number:02}", "bad" if number % 2 else "good")
        await world.daemon.settle()
        world.workers.judge_seconds = 1.0
        await world.reload(TIGHT, "v2")
        await anyio.sleep(20.5)
    judged = list(world.workers.judged)
    assert 10 < len(judged) < 40
    ledger = world.ledger.snapshot()
    known = len(ledger.reader.rows("SELECT 1 FROM validation"))
    again = World(world.workers, ledger, TIGHT)
    async with again.up():
        await again.done()
    assert len(again.workers.judged) == 40 + len(judged) - known
    wanted = {(f"{n:02}", 1): "suspect" if n % 2 else "ok" for n in range(40)}
    assert again.states() == wanted


async def test_other_definitions_in_the_middle_are_the_ones_that_count(world: World) -> None:
    async with world.up():
        for number in range(10):
            await world.land(f"{number}", f"good {number}")
        await world.daemon.settle()
        world.workers.judge_seconds = 1.0
        await world.reload(TIGHT, "v2")
        await anyio.sleep(3.5)
        world.workers.is_bad = lambda row: row == "good 0"
        await world.reload(manifest("v3", 'str_length{"max_value": 2}'), "v3")
        await world.done()
        rows = world.ledger.reader.rows("SELECT partition, schema_version, state FROM validation")
        assert sorted(rows) == [
            (f"{number}", "v3", "ok" if number else "suspect") for number in range(10)
        ]


async def test_a_schema_that_is_gone_or_not_at_hand(world: World) -> None:
    async with world.up():
        await world.land("x", "bad")
        await world.daemon.settle()
        await world.reload(TIGHT, "v2")
        await world.done()
        assert world.states() == {("x", 1): "suspect"}
        broken = manifest("v3", 'str_length{"max_value": 1}', kept=("a", "s"))
        await world.reload(broken, "v3")
        assert world.watch.idle
        await anyio.sleep(100)
        assert world.left() == ["a", "s"]
        await world.reload(manifest("v4", name=""), "v4")
        await world.done()
        assert world.states() == {}
        await anyio.sleep(5)
        assert world.told.open == {}


async def test_rows_of_a_stream_are_suspect_wherever_they_are_merged(world: World) -> None:
    workers, read = world.workers, world.ledger.reader.rows
    async with world.up():
        for number in range(4):
            await world.daemon.send([f"{number}a", f"{number}{'bad' if number == 2 else ''}"])
            await world.daemon.settle()
        await world.reload(TIGHT, "v2")
        await world.done()
        rows = "SELECT first_row, end_row, state FROM validation ORDER BY first_row"
        assert read(rows) == [(0, 2, "ok"), (2, 4, "ok"), (4, 6, "suspect"), (6, 8, "ok")]
        assert [row[:3] for row in read(validations.SUSPECT_HEADS)] == [("s", "", 4)]
        # As if they had been validated by what comes later, they are merged with it.
        workers.schema = "v1"
        for number in range(4, 40):
            await world.daemon.send([f"{number}a"])
            await world.daemon.settle()
        merging = Compaction(world.daemon.reactor, anyio.current_time)
        while await merging.merge():
            await world.daemon.settle()
        assert any(first < 4 and end > 6 for first, end, _ in world.daemon.segments("s"))
        assert [row[:3] for row in read(validations.SUSPECT_HEADS)] == [("s", "", 40)]
        workers.is_bad = lambda _row: False
        await world.reload(manifest("v3"), "v3")
        await world.done()
        assert {state for _, _, state in read(rows)} == {"ok"}
        assert read(validations.SUSPECT_HEADS) == []
        assert "schema of s" not in world.told.open
