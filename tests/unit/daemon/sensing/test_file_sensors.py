"""One task hands on what all file sensors have: none waits for another."""

from random import Random

import anyio
import anyio.lowlevel
import pytest

from afresh.assets.partition import Pattern
from afresh.daemon.sensing.file_sensors import FileSensors
from afresh.sensors.base import Batch, Identity
from afresh.sensors.folders.look import Seen
from afresh.sensors.folders.sensor import BATCH, FileSensor
from afresh.sensors.folders.watcher import FolderWatcher


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def arrive(sensor: FileSensor, count: int) -> None:
    for number in range(count):
        seen = Seen(Identity(number, 1, 1, 1))
        sensor.offer(f"/project/{sensor.name}/{number}.csv", str(number), seen, 0.0)


@pytest.mark.anyio
async def test_a_source_without_room_holds_up_no_other() -> None:
    recorded: list[str] = []
    flooded = {"many"}

    async def record(batch: Batch) -> None:
        recorded.append(batch.sensor)
        if recorded.count("many") == 2:
            flooded.add("many")

    watcher = FolderWatcher("/project", now=lambda: 0.0)
    sensors = {
        name: FileSensor(name=name, pattern=Pattern.parse(name + "/{key}.csv"), watcher=watcher)
        for name in ("many", "few")
    }
    async with anyio.create_task_group() as tasks:
        files = FileSensors(
            record,
            is_flooded=flooded.__contains__,
            tasks=tasks,
            random=Random(1),
            tell=lambda _sensor: None,
        )
        for sensor in sensors.values():
            files.start(sensor)
        tasks.start_soon(files.run)
        with anyio.fail_after(60):
            arrive(sensors["many"], 3 * BATCH)
            arrive(sensors["few"], 1)
            await sensors["few"]._flush()
            assert recorded == ["few"]
            flooded.clear()
            while "many" not in flooded:
                await anyio.lowlevel.checkpoint()
            arrive(sensors["few"], 2)
            await sensors["few"]._flush()
            assert recorded == ["few", "many", "many", "few"], "it is looked at after each batch"
            flooded.clear()
            await sensors["many"]._flush()
        assert recorded.count("many") == 3
        tasks.cancel_scope.cancel()
