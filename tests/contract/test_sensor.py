"""What every sensor keeps: nothing is lost or reported twice; acknowledged means recorded."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Protocol

import anyio
import pytest

from afresh.assets.errors import SensorError
from afresh.assets.partition import Pattern
from afresh.sensors.base import Batch, Judging, Sensor
from afresh.sensors.buckets.sensor import BucketSensor
from afresh.sensors.buckets.stores import open_store
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.watcher import FolderWatcher
from support.watching import Journal, until


class Rig(Protocol):
    """A kind of sensor with the world that it watches."""

    folder: Path

    def sensor(self, known: dict[str, Any]) -> Sensor: ...

    def serving(self) -> AbstractAsyncContextManager[None]:
        """Run what its sensors share."""
        ...

    def arrive(self, key: str, content: str) -> None: ...

    def delete(self, key: str) -> None: ...


class FileRig:
    """Files in a folder."""

    def __init__(self, project: Path) -> None:
        self.folder = project / "in"
        self.folder.mkdir()
        self.watcher = FolderWatcher(os.fspath(project), now=time.time)

    def sensor(self, known: dict[str, Any]) -> Sensor:
        return FileSensor(
            name="things",
            pattern=Pattern.parse("in/{key}.csv"),
            watcher=self.watcher,
            settle_seconds=0.02,
            known=known,
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.watcher.run)
            yield
            tasks.cancel_scope.cancel()

    def arrive(self, key: str, content: str) -> None:
        (self.folder / f"{key}.csv").write_text(content)

    def delete(self, key: str) -> None:
        (self.folder / f"{key}.csv").unlink()


class BucketRig:
    """Objects of a store, and hints that tell of them."""

    def __init__(self, project: Path) -> None:
        self.folder = project / "lake"
        self.folder.mkdir()
        # More than half gone at once would not be believed.
        for number in range(2):
            (self.folder / f"other{number}.txt").write_text("")
        self.sensors: list[BucketSensor] = []

    def sensor(self, known: dict[str, Any]) -> Sensor:
        pattern = Pattern.parse(f"{os.fspath(self.folder)[1:]}/{{key}}.csv")
        sensor = BucketSensor(
            name="things",
            pattern=pattern,
            protocol="file",
            store=open_store("file", pattern, {}),
            interval_seconds=0.3,
            now=time.time,
            random=Random(1),
            known=known,
        )
        self.sensors.append(sensor)
        return sensor

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        yield

    def arrive(self, key: str, content: str) -> None:
        path = self.folder / f"{key}.csv"
        path.with_suffix(".part").write_text(content)
        path.with_suffix(".part").rename(path)
        self._tell(path)

    def delete(self, key: str) -> None:
        path = self.folder / f"{key}.csv"
        path.unlink()
        self._tell(path)

    def _tell(self, path: Path) -> None:
        for sensor in self.sensors:
            if sensor.health.state == "watching":
                sensor.look_at([f"file://{path}"])


@pytest.fixture(params=[FileRig, BucketRig])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    made: Rig = request.param(tmp_path)
    return made


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def running(
    rig: Rig,
    journal: Journal,
    emit: Callable[[Batch], Awaitable[None]] | None = None,
) -> AsyncIterator[Sensor]:
    sensor = rig.sensor(journal.known)
    async with rig.serving(), anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, emit or journal.emit)
        await until(lambda: sensor.health.state == "watching")
        yield sensor
        tasks.cancel_scope.cancel()


async def test_it_has_a_name_and_a_kind(rig: Rig) -> None:
    sensor = rig.sensor({})
    assert sensor.name == "things"
    assert sensor.kind
    assert sensor.health.state == "scanning"


async def test_an_arrival_is_reported_once_with_its_key(rig: Rig) -> None:
    journal = Journal()
    async with running(rig, journal) as sensor:
        rig.arrive("a", "1")
        await until(lambda: journal.arrivals)
        assert await sensor.scan() == 0
        assert sensor.health.lag == 0
    assert [(a.kind, a.partition) for a in journal.arrivals] == [("arrived", "a")]
    assert journal.batches[0].sensor == "things"


async def test_a_restart_repeats_nothing_and_finds_what_came_meanwhile(rig: Rig) -> None:
    journal = Journal()
    for key in "ab":
        rig.arrive(key, "1")
    async with running(rig, journal):
        await until(lambda: len(journal.arrivals) == 2)
    rig.arrive("c", "1")
    rig.delete("a")
    async with running(rig, journal) as sensor:
        await until(lambda: len(journal.arrivals) == 4)
        assert await sensor.scan() == 0
    assert {(a.kind, a.partition) for a in journal.arrivals[2:]} == {
        ("arrived", "c"),
        ("deleted", "a"),
    }


async def test_what_is_cut_off_before_its_acknowledgement_is_reported_again(rig: Rig) -> None:
    journal = Journal()
    asked = anyio.Event()

    async def never(_: Batch) -> None:
        asked.set()
        await anyio.sleep_forever()

    rig.arrive("a", "1")
    async with running(rig, journal, never) as sensor:
        await asked.wait()
        assert sensor.health.lag == 1
    async with running(rig, journal):
        await until(lambda: journal.arrivals)
    assert [a.partition for a in journal.arrivals] == ["a"]


async def test_scan_returns_after_the_acknowledgement(rig: Rig) -> None:
    journal = Journal()

    async def slow(batch: Batch) -> None:
        await anyio.sleep(0.05)
        await journal.emit(batch)

    async with running(rig, journal, slow) as sensor:
        for number in range(20):
            rig.arrive(str(number), "1")
        assert await sensor.scan() == len(journal.arrivals) == 20


async def test_scans_at_once_do_not_report_twice(rig: Rig) -> None:
    journal = Journal()
    async with running(rig, journal) as sensor:
        for number in range(20):
            rig.arrive(str(number), "1")
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(sensor.scan)
        assert len(journal.arrivals) == 20


async def test_a_change_during_an_acknowledgement_is_reported_too(rig: Rig) -> None:
    journal = Journal()

    async def overwriting(batch: Batch) -> None:
        if not journal.batches:
            rig.arrive("a", "second")
            await anyio.sleep(0.05)
        await journal.emit(batch)

    async with running(rig, journal, overwriting):
        rig.arrive("a", "1")
        await until(lambda: len(journal.arrivals) == 2)
    sizes = [a.identity.size for a in journal.arrivals if a.identity is not None]
    assert sizes == [1, 6]


async def test_a_deletion_during_an_acknowledgement_is_reported_too(rig: Rig) -> None:
    journal = Journal()

    async def deleting(batch: Batch) -> None:
        if not journal.batches:
            rig.delete("a")
            await anyio.sleep(0.3)
        await journal.emit(batch)

    async with running(rig, journal, deleting):
        rig.arrive("a", "1")
        await until(lambda: len(journal.arrivals) == 2)
    assert [a.kind for a in journal.arrivals] == ["arrived", "deleted"]


async def test_a_stopped_sensor_cannot_be_scanned(rig: Rig) -> None:
    with pytest.raises(SensorError, match="running"):
        await rig.sensor({}).scan()


async def test_cancelled_it_leaves_nothing_behind(rig: Rig) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        async with running(rig, Journal()):
            pass
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # noqa: PTH208


async def test_of_several_of_one_key_none_is_to_be_read(rig: Rig) -> None:
    journal = Journal()
    async with running(rig, journal) as sensor:
        assert isinstance(sensor, Judging)
        rig.arrive("a", "1")
        await until(lambda: journal.arrivals)
        first = journal.arrivals[0].uri
        assert sensor.refusal(first, "a") == ""
        (rig.folder / "a.csv.gz").write_bytes(b"")
        await until(lambda: any(arrival.problem for arrival in journal.arrivals))
        second = next(a.uri for a in journal.arrivals if a.uri.endswith(".gz"))
        said = {sensor.refusal(uri, "a") for uri in (first, second)}
        assert said == {arrival.problem for arrival in journal.arrivals if arrival.problem}
        rig.delete("a")
        await until(lambda: not sensor.refusal(second, "a"))
        assert sensor.refusal(first, "a") == "", "whoever reads it finds that it is gone"
