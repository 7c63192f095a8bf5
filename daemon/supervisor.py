"""The sensors of a generation, each with its own restarts.

One that crashes costs itself.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from afresh.assets.errors import AfreshError, UsageError
from afresh.assets.manifest import Manifest, Source
from afresh.assets.nearest import did_you_mean
from afresh.assets.partition import Pattern
from afresh.sensors.base import Emit, Identity
from afresh.sensors.file import FileSensor
from afresh.sensors.watcher import FolderWatcher

_log = logging.getLogger("afresh.sensors")
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.02
Known = Callable[[str], tuple[Mapping[str, Identity], frozenset[str]]]
"""What the ledger recorded of a source's paths: their identities, and which are unmatched."""


class Supervisor:
    """Starts, stops and restarts sensors. `known` is asked when one starts."""

    def __init__(
        self,
        tasks: TaskGroup,
        *,
        watcher: FolderWatcher,
        emit: Emit,
        known: Known,
        random: Random,
        on_health: Callable[[FileSensor], None],
    ) -> None:
        self._tasks = tasks
        self._watcher = watcher
        self._emit = emit
        self._known = known
        self._random = random
        self._on_health = on_health
        self.sensors: dict[str, FileSensor] = {}
        self._declared: dict[str, bytes] = {}
        self._running: set[str] = set()
        self._with_news: dict[str, None] = {}
        self._pauses: dict[str, float] = {}
        self.crashed: dict[str, str] = {}
        self.paused: set[str] = set()
        self._news = anyio.Event()
        self._health_news = anyio.Event()

    def follow(self, manifest: Manifest) -> None:
        """Run the sensors that a generation declares: what did not change goes on undisturbed."""
        sources = {source.name: source for source in manifest.sources}
        for name in [n for n in self._declared if n not in sources]:
            self._stop(name)
            del self._declared[name]
        for name, source in sources.items():
            declared = msgspec.msgpack.encode((source.sensor, source.captures))
            if self._declared.get(name) != declared:
                self._stop(name)
                self._declared[name] = declared
                self._start(source)

    def pause(self, name: str) -> None:
        """Stop a sensor; its cursor stays, and the scan at its start finds what came meanwhile."""
        self.paused.add(self._require(name))
        self._stop(name, forget=False)

    def resume(self, name: str, source: Source) -> None:
        """Start it again."""
        self.paused.discard(name)
        if name not in self._running:
            self._start(source)

    async def scan(self, name: str, *, accept: bool) -> int:
        """Scan one sensor, or all of them for an empty name; how many arrivals were recorded.

        Raises UsageError for an unknown name, SensorError where the folder cannot be trusted.
        """
        if name:
            return await self._find(name).scan(accept=accept)
        found = 0

        async def scan_one(sensor: FileSensor) -> None:
            nonlocal found
            # A sensor that is failed says so in its health; the others are scanned all the same.
            with suppress(AfreshError):
                found += await sensor.scan()

        async with anyio.create_task_group() as group:
            for sensor_name, sensor in self.sensors.items():
                if sensor_name in self._running:
                    group.start_soon(scan_one, sensor)
        return found

    def confirm(self, source: str, uri: str, identity: Identity) -> None:
        """An ingest read this state of a file: it is no news."""
        sensor = self.sensors.get(source)
        if sensor is not None:
            sensor.confirm(uri, identity)

    @property
    def quiet(self) -> bool:
        """All that the running sensors saw is recorded; one that is failed has nothing to say."""
        return all(
            sensor.is_quiet or sensor.health.state == "failed" or name in self.crashed
            for name, sensor in self.sensors.items()
            if name in self._running
        )

    async def wait_until_checked(self) -> None:
        """Return when every running sensor has looked at everything once, or cannot."""
        for name, sensor in list(self.sensors.items()):
            while name in self._running and not (
                sensor.checked or sensor.health.state == "failed" or name in self.crashed
            ):
                self._health_news = anyio.Event()
                with anyio.move_on_after(LOOK_AGAIN_SECONDS):
                    await self._health_news.wait()

    def _note_health(self, sensor: FileSensor) -> None:
        self._health_news.set()
        self._on_health(sensor)

    def rows(self, last: Mapping[str, Any]) -> list[dict[str, Any]]:
        """One row a sensor, with CLI.md's keys; `last` has the time of each one's last event."""
        rows = []
        for name, sensor in sorted(self.sensors.items()):
            health = sensor.health
            state = "paused" if name in self.paused else health.state
            error = self.crashed.get(name) or health.error or health.note
            rows.append(
                {
                    "sensor": name,
                    "kind": sensor.kind,
                    "source": name,
                    "state": "failed" if name in self.crashed else state,
                    "cursor": "",
                    "lag": health.lag,
                    "last_event_at": last.get(name),
                    "error": error,
                }
            )
        return rows

    def _find(self, name: str) -> FileSensor:
        return self.sensors[self._require(name)]

    def _require(self, name: str) -> str:
        if name not in self._declared:
            raise UsageError(
                f"Expected a sensor's name, found {name!r}", hint=did_you_mean(name, self._declared)
            )
        return name

    def _start(self, source: Source) -> None:
        known, unmatched = self._known(source.name)
        options = source.sensor.options
        sensor = FileSensor(
            name=source.name,
            pattern=Pattern.parse(str(options["pattern"])),
            watcher=self._watcher,
            settle_seconds=float(options["settle_seconds"] or 0.0),
            known=known,
            unmatched=unmatched,
            on_health=self._note_health,
        )
        self.sensors[source.name] = sensor
        if source.name not in self.paused:
            self._running.add(source.name)
            sensor.start(self._note_news)

    def _stop(self, name: str, *, forget: bool = True) -> None:
        if name in self._running:
            self._running.discard(name)
            self.sensors[name].stop()
        if forget:
            self.sensors.pop(name, None)
            self.crashed.pop(name, None)

    def _note_news(self, sensor: FileSensor) -> None:
        self._with_news[sensor.name] = None
        self._news.set()

    async def run(self) -> None:
        """Hand on what sensors have, until cancelled: one task for all, not one for each."""
        while True:
            while self._with_news:
                name = next(iter(self._with_news))
                del self._with_news[name]
                sensor = self.sensors.get(name)
                if sensor is not None and name in self._running:
                    await self._drain(sensor)
            self._news = anyio.Event()
            await self._news.wait()

    async def _drain(self, sensor: FileSensor) -> None:
        try:
            await sensor.drain(self._emit)
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this sensor alone
            _log.exception("sensor %s crashed", sensor.name)
            self.crashed[sensor.name] = str(error) or type(error).__name__
            self._on_health(sensor)
            self._tasks.start_soon(self._restart, sensor)
        else:
            if self.crashed.pop(sensor.name, None) is not None:
                self._pauses.pop(sensor.name, None)
                self._on_health(sensor)

    async def _restart(self, sensor: FileSensor) -> None:
        """After a pause that grows: what it could not hand on is still there."""
        pause = self._pauses.get(sensor.name, FIRST_PAUSE_SECONDS)
        self._pauses[sensor.name] = min(2 * pause, LONGEST_PAUSE_SECONDS)
        await anyio.sleep(pause * (0.5 + 0.5 * self._random.random()))
        if sensor.name in self._running:
            self._note_news(sensor)
