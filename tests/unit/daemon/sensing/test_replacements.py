"""A sensor that is replaced while the ledger records its batch: its successor knows of it (P1)."""

from collections.abc import Awaitable, Callable
from random import Random

import anyio
import anyio.lowlevel
import msgspec
import pytest
from anyio.abc import TaskGroup

from afresh.assets.manifest import Manifest, Source
from afresh.assets.manifest import Sensor as Declared
from afresh.daemon.sensing.supervisor import Supervisor
from afresh.sensors.base import Batch, Identity
from afresh.sensors.folders.look import Seen
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.watcher import FolderWatcher

HERE = "/project/landing/1.csv"
STATE = Identity(1, 1, 1, 1)


def files(settle_seconds: float = 0.0) -> Manifest:
    options = {"pattern": "landing/{key}.csv", "settle_seconds": settle_seconds}
    return Manifest("", sources=(Source("days", Declared("file", options), captures=("key",)),))


class Ledger:
    """Records what comes when it is let to; what sensors know is what was recorded by then."""

    def __init__(self) -> None:
        self.recorded: list[str] = []
        self.asked = anyio.Event()
        self.go = anyio.Event()
        self._paths: dict[str, str] = {}

    async def record(self, batch: Batch) -> None:
        self.asked.set()
        await self.go.wait()
        for arrival in batch.arrivals:
            self.recorded.append(arrival.uri)
            self._paths[arrival.uri] = msgspec.json.encode(arrival.identity).decode()

    def paths(self, _: str) -> dict[str, str]:
        return dict(self._paths)

    known = paths

    def forget(self) -> None:
        self._paths.clear()

    def unmatched(self, _: str) -> frozenset[str]:
        return frozenset()

    def cursor(self, _: str) -> str:
        return ""


async def free(_source: str) -> None:
    """There is room at all times."""


def supervising(tasks: TaskGroup, ledger: Ledger) -> Supervisor:
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


def current(supervisor: Supervisor) -> FileSensor:
    sensor = supervisor.sensors["days"]
    assert isinstance(sensor, FileSensor)
    return sensor


def arrive(supervisor: Supervisor) -> None:
    """What a look at the file leads to: it is handed on unless this state of it was."""
    sensor = current(supervisor)
    if sensor.current(HERE) != STATE:
        sensor.offer(HERE, "1", Seen(STATE), 0.0)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def reload(supervisor: Supervisor) -> None:
    supervisor.follow(files(5.0))


async def reload_twice(supervisor: Supervisor) -> None:
    supervisor.follow(files(5.0))
    await anyio.lowlevel.checkpoint()
    supervisor.follow(files(6.0))


async def pause_and_resume(supervisor: Supervisor) -> None:
    supervisor.pause("days")
    supervisor.resume("days", files().sources[0])


async def remove_and_declare_again(supervisor: Supervisor) -> None:
    supervisor.follow(Manifest(""))
    supervisor.follow(files())


@pytest.mark.parametrize(
    "replace", [reload, reload_twice, pause_and_resume, remove_and_declare_again]
)
@pytest.mark.anyio
async def test_what_commits_meanwhile_does_not_come_twice(
    replace: Callable[[Supervisor], Awaitable[None]],
) -> None:
    ledger = Ledger()
    async with anyio.create_task_group() as tasks:
        supervisor = supervising(tasks, ledger)
        tasks.start_soon(supervisor.run)
        supervisor.follow(files())
        arrive(supervisor)
        await ledger.asked.wait()
        await replace(supervisor)
        ledger.go.set()
        with anyio.fail_after(5):
            await supervisor._until_started("days")
        arrive(supervisor)
        await anyio.wait_all_tasks_blocked()
        assert ledger.recorded == ["landing/1.csv"]
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_reset_forgets_what_commits_meanwhile_too() -> None:
    ledger = Ledger()
    async with anyio.create_task_group() as tasks:
        supervisor = supervising(tasks, ledger)
        tasks.start_soon(supervisor.run)
        supervisor.follow(files())
        arrive(supervisor)
        await ledger.asked.wait()

        async def forget() -> None:
            ledger.forget()

        supervisor.pause("days")
        tasks.start_soon(supervisor.reset, files().sources[0], forget)
        await anyio.wait_all_tasks_blocked()
        ledger.go.set()
        await anyio.wait_all_tasks_blocked()
        assert not current(supervisor).known
        assert not ledger.paths("days")
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_what_was_seen_under_definitions_is_recorded_before_others_are_in_force() -> None:
    ledger = Ledger()
    async with anyio.create_task_group() as tasks:
        supervisor = supervising(tasks, ledger)
        tasks.start_soon(supervisor.run)
        supervisor.follow(files())
        arrive(supervisor)
        await ledger.asked.wait()
        with anyio.move_on_after(0.05) as waiting:
            await supervisor.withdraw(files(5.0))
        assert waiting.cancelled_caught
        assert not supervisor.quiet
        ledger.go.set()
        with anyio.fail_after(5):
            await supervisor.withdraw(files(5.0))
        assert ledger.recorded == ["landing/1.csv"]
        current(supervisor).offer("/project/landing/2.csv", "2", Seen(STATE), 0.0)
        await anyio.wait_all_tasks_blocked()
        assert ledger.recorded == ["landing/1.csv"]
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_withdrawn_sensor_runs_again_if_the_definitions_stay() -> None:
    ledger = Ledger()
    ledger.go.set()
    async with anyio.create_task_group() as tasks:
        supervisor = supervising(tasks, ledger)
        tasks.start_soon(supervisor.run)
        supervisor.follow(files())
        before = current(supervisor)
        await supervisor.withdraw(files())
        assert current(supervisor) is before, "it is the same in both"
        await supervisor.withdraw(files(5.0))
        supervisor.follow(files())
        arrive(supervisor)
        await anyio.wait_all_tasks_blocked()
        assert ledger.recorded == ["landing/1.csv"]
        tasks.cancel_scope.cancel()
