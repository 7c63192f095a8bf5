"""The sensors of files as they run: one task hands on what all of them have, not one for each."""

import logging
from collections.abc import Callable
from random import Random

import anyio
from anyio.abc import TaskGroup

from afresh.sensors.backoff import Backoff
from afresh.sensors.base import Emit, Sensor
from afresh.sensors.folders.sensor import FileSensor

_log = logging.getLogger("afresh.sensors")
LOOK_AGAIN_SECONDS = 0.1


class LastBatch:
    """What a sensor of files was handing on when it was stopped."""

    def __init__(self) -> None:
        self._ended = anyio.Event()

    def end(self) -> None:
        """It is recorded, or refused."""
        self._ended.set()

    async def wait_recorded(self) -> None:
        """Return when it is recorded, or refused."""
        await self._ended.wait()

    wait_ended = wait_recorded


class FileSensors:
    """Hands on what file sensors have. `errors` says of each that crashed why it did.

    `is_flooded` says of a source that more of it should not come at present: the others do not wait
    for it. So `emit` returns when a batch is recorded, whether or not there is room for more.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        is_flooded: Callable[[str], bool],
        tasks: TaskGroup,
        random: Random,
        tell: Callable[[FileSensor], None],
    ) -> None:
        self.errors: dict[str, str] = {}
        self._emit = emit
        self._is_flooded = is_flooded
        self._tasks = tasks
        self._random = random
        self._tell = tell
        self._running: dict[str, FileSensor] = {}
        self._with_news: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        """Those that have news, but no room for them."""
        self._backoffs: dict[str, Backoff] = {}
        self._draining: tuple[FileSensor, LastBatch] | None = None
        self._news = anyio.Event()

    def start(self, sensor: FileSensor) -> None:
        """Let it watch, and hand on what it has."""
        self._running[sensor.name] = sensor
        sensor.start(self._note_news)

    def stop(self, sensor: FileSensor) -> LastBatch | None:
        """Let it watch no more; give what it handed on and is not recorded yet, if anything."""
        if not self.is_running(sensor):
            return None
        del self._running[sensor.name]
        sensor.stop()
        return self._draining[1] if self._draining and self._draining[0] is sensor else None

    def is_running(self, sensor: Sensor) -> bool:
        """Say whether it was started, and not stopped since."""
        return self._running.get(sensor.name) is sensor

    def forget(self, name: str) -> None:
        """What it did under other definitions does not count."""
        self.errors.pop(name, None)
        self._backoffs.pop(name, None)

    async def run(self) -> None:
        """Hand on until cancelled."""
        while True:
            while self._with_news:
                name = next(iter(self._with_news))
                del self._with_news[name]
                sensor = self._running.get(name)
                if sensor is not None:
                    await self._drain(sensor)
            self._news = anyio.Event()
            with anyio.move_on_after(LOOK_AGAIN_SECONDS if self._waiting else None):
                await self._news.wait()
            self._with_news |= self._waiting
            self._waiting.clear()

    def _note_news(self, sensor: FileSensor) -> None:
        self._with_news[sensor.name] = None
        self._news.set()

    async def _drain(self, sensor: FileSensor) -> None:
        last = LastBatch()
        self._draining = sensor, last
        try:
            if not await sensor.drain(self._emit, lambda: not self._is_flooded(sensor.name)):
                self._waiting[sensor.name] = None
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this sensor alone
            _log.exception("sensor %s crashed", sensor.name)
            self.errors[sensor.name] = str(error) or type(error).__name__
            self._tell(sensor)
            self._tasks.start_soon(self._restart, sensor.name)
        else:
            if self.errors.pop(sensor.name, None) is not None:
                self._backoffs.pop(sensor.name, None)
                self._tell(sensor)
        finally:
            self._draining = None
            last.end()

    async def _restart(self, name: str) -> None:
        """After a pause that grows: what it could not hand on is still there."""
        backoff = self._backoffs.setdefault(name, Backoff(self._random))
        await anyio.sleep(backoff.next_seconds())
        sensor = self._running.get(name)
        if sensor is not None:
            self._note_news(sensor)
