"""A sensor that is stopped while the ledger records its batch: the next one goes on behind it."""

from collections.abc import Awaitable, Callable
from random import Random

import anyio
import pytest
from anyio.abc import TaskGroup

from afresh.assets.manifest import Manifest, Source
from afresh.assets.manifest import Sensor as Declared
from afresh.daemon.sensing.supervisor import Supervisor
from afresh.daemon.sensing.tasks import SensorTask
from afresh.sensors.base import Batch, Emit, Health, Sensor, SensorContext
from afresh.sensors.folders.watcher import FolderWatcher
from support.watching import until

SOURCE = Source("numbers", Declared("numbers", {}), stream=True)


class Numbers:
    """Hands on the numbers behind its cursor, one a batch."""

    name = "numbers"
    kind = "numbers"
    checked = True
    is_quiet = True
    health = Health("watching")

    def __init__(self, cursor: str) -> None:
        self.at = int(cursor or 0)

    async def run(self, emit: Emit) -> None:
        while True:
            await emit(Batch(self.name, (), str(self.at + 1)))
            self.at += 1

    async def scan(self, *, accept: bool = False) -> int:
        return int(accept)


async def free(_source: str) -> None:
    """There is room at all times."""


def running(
    sensor: Sensor,
    record: Emit,
    tasks: TaskGroup,
    room: Callable[[str], Awaitable[None]] = free,
) -> SensorTask:
    task = SensorTask(
        sensor,
        record,
        room,
        tasks=tasks,
        random=Random(1),
        now=lambda: 0.0,
        tell=lambda: None,
    )
    tasks.start_soon(task.run)
    return task


def supervising(tasks: TaskGroup, ledger: "Ledger") -> Supervisor:
    return Supervisor(
        tasks,
        watcher=FolderWatcher("/project", now=lambda: 0.0),
        record=ledger.record,
        room=free,
        is_flooded=lambda _source: False,
        recorded=ledger,
        project="/project",
        staging="/project/staging",
        now=lambda: 0.0,
        random=Random(1),
        on_health=lambda _sensor, _health: None,
    )


class Ledger:
    """Records a batch when it is let to; what came to it is recorded, whoever waits for it."""

    def __init__(self) -> None:
        self.recorded: list[str] = []
        self.asked = anyio.Event()
        self.go = anyio.Event()

    async def record(self, batch: Batch) -> None:
        self.asked.set()
        await self.go.wait()
        self.recorded.append(batch.cursor)
        self.asked, self.go = anyio.Event(), anyio.Event()

    def paths(self, _: str) -> dict[str, str]:
        return {}

    known = paths

    def unmatched(self, _: str) -> frozenset[str]:
        return frozenset()

    def cursor(self, _: str) -> str:
        return self.recorded[-1] if self.recorded else ""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_it_has_ended_when_what_it_handed_on_is_recorded() -> None:
    ledger = Ledger()
    async with anyio.create_task_group() as tasks:
        task = running(Numbers(""), ledger.record, tasks)
        await ledger.asked.wait()
        task.stop()
        with anyio.move_on_after(0.05) as waiting:
            await task.wait_ended()
        assert waiting.cancelled_caught
        ledger.go.set()
        with anyio.fail_after(60):
            await task.wait_ended()
    assert ledger.recorded == ["1"]


async def test_a_sensor_that_fails_while_it_hands_on_does_not_bring_it_twice() -> None:
    ledger = Ledger()

    class Stumbling(Numbers):
        """Another task of it fails while one hands on."""

        async def run(self, emit: Emit) -> None:
            async with anyio.create_task_group() as tasks:
                if not self.at:
                    tasks.start_soon(self.stumble)
                await super().run(emit)

        async def stumble(self) -> None:
            await ledger.asked.wait()
            raise OSError("the line is dead")

    async with anyio.create_task_group() as tasks:
        running(Stumbling(""), ledger.record, tasks)
        await ledger.asked.wait()
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(60):
            while len(ledger.recorded) < 2:
                ledger.go.set()
                await ledger.asked.wait()
        # Its third may be on its way, which nobody lets through any more.
        tasks.cancel_scope.cancel()
    assert ledger.recorded == ["1", "2"]


async def test_who_waits_for_room_has_handed_on_nothing() -> None:
    ledger = Ledger()
    ledger.go.set()
    full = anyio.Event()

    async def room(source: str) -> None:
        assert source == "numbers"
        if ledger.recorded:
            full.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        task = running(Numbers(""), ledger.record, tasks, room)
        await full.wait()
        task.stop()
        with anyio.fail_after(60):
            await task.wait_ended()
    assert ledger.recorded == ["1"]


async def test_an_error_of_the_ledger_is_the_sensors() -> None:
    heard: list[Exception] = []

    class Hearing(Numbers):
        async def run(self, emit: Emit) -> None:
            try:
                await emit(Batch(self.name, ()))
            except OSError as error:
                heard.append(error)
            await anyio.sleep_forever()

    async def full(_: Batch) -> None:
        await anyio.lowlevel.checkpoint()
        raise OSError("the disk is full")

    async with anyio.create_task_group() as tasks:
        task = running(Hearing(""), full, tasks)
        await until(lambda: heard)
        task.stop()
    assert str(heard[0]) == "the disk is full"


@pytest.mark.parametrize("times", [1, 2])
async def test_the_next_one_goes_on_behind_what_was_on_its_way(
    monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    def build(context: SensorContext) -> Sensor:
        return Numbers(context.cursor)

    monkeypatch.setattr("afresh.daemon.sensing.builder.build_sensor", build)
    ledger = Ledger()
    async with anyio.create_task_group() as tasks:
        supervisor = supervising(tasks, ledger)
        supervisor.follow(Manifest("", sources=(SOURCE,)))
        await ledger.asked.wait()
        for _ in range(times):
            supervisor.pause("numbers")
            supervisor.resume("numbers", SOURCE)
            await anyio.lowlevel.checkpoint()
        ledger.go.set()
        with anyio.fail_after(60):
            while len(ledger.recorded) < 4:
                await ledger.asked.wait()
                ledger.go.set()
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert ledger.recorded == ["1", "2", "3", "4"]


async def test_what_was_on_its_way_at_a_reset_does_not_bring_the_old_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "afresh.daemon.sensing.builder.build_sensor", lambda context: Numbers(context.cursor)
    )
    ledger = Ledger()
    async with anyio.create_task_group() as tasks:
        supervisor = supervising(tasks, ledger)
        supervisor.follow(Manifest("", sources=(SOURCE,)))
        await ledger.asked.wait()

        async def forget() -> None:
            await anyio.lowlevel.checkpoint()
            ledger.recorded.append("")

        tasks.start_soon(supervisor.reset, SOURCE, forget)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        ledger.go.set()
        with anyio.fail_after(60):
            while len(ledger.recorded) < 4:
                await ledger.asked.wait()
                ledger.go.set()
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert ledger.recorded == ["1", "", "1", "2"]


async def test_the_last_error_is_shown_when_it_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [OSError("the shop is closed")]

    class Failing(Numbers):
        async def run(self, emit: Emit) -> None:
            if errors:
                raise errors.pop()
            await emit(Batch(self.name, (), "1"))
            await anyio.sleep_forever()

    monkeypatch.setattr("afresh.daemon.sensing.builder.build_sensor", lambda _: Failing(""))
    ledger = Ledger()
    ledger.go.set()
    async with anyio.create_task_group() as tasks:
        supervisor = supervising(tasks, ledger)
        supervisor.follow(Manifest("", sources=(SOURCE,)))
        await until(lambda: supervisor.rows({})[0]["error"])
        await until(lambda: not supervisor.rows({})[0]["error"])
        (row,) = supervisor.rows({})
        assert (row["state"], row["last_error"]) == ("watching", "the shop is closed")
        assert row["last_error_at"] == 0.0
        supervisor.follow(Manifest(""))
        supervisor.follow(Manifest("", sources=(SOURCE,)))
        assert supervisor.rows({})[0]["last_error"] == ""
        tasks.cancel_scope.cancel()


async def test_a_paused_sensor_stays_paused_when_it_is_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "afresh.daemon.sensing.builder.build_sensor", lambda context: Numbers(context.cursor)
    )
    ledger = Ledger()
    done: list[str] = []

    async def forget() -> None:
        await anyio.lowlevel.checkpoint()
        done.append("forgotten")

    async with anyio.create_task_group() as tasks:
        supervisor = supervising(tasks, ledger)
        supervisor.paused.add("numbers")
        supervisor.follow(Manifest("", sources=(SOURCE,)))
        await supervisor.reset(SOURCE, forget)
        await anyio.lowlevel.checkpoint()
        assert not ledger.asked.is_set()
        tasks.cancel_scope.cancel()
    assert done == ["forgotten"]
