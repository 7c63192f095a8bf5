"""The sensors of a generation, each with its own restarts.

One that crashes costs itself.
"""

# ruff: noqa: PTH118, PTH120

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any, Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from afresh.assets.errors import AfreshError, UsageError
from afresh.assets.manifest import Manifest, Source
from afresh.assets.manifest import Sensor as Declaration
from afresh.assets.nearest import did_you_mean
from afresh.assets.partition import Pattern
from afresh.daemon.sensor_kinds import Unbuilt, build_sensor
from afresh.daemon.sensor_tasks import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, SensorTask
from afresh.sensors.base import (
    Confirming,
    Emit,
    Health,
    Identity,
    ObjectIdentity,
    Sensor,
    SensorContext,
)
from afresh.sensors.file import FileSensor
from afresh.sensors.http_route import HttpRoutes
from afresh.sensors.watcher import FolderWatcher

_identity = msgspec.json.Decoder(Identity)
_log = logging.getLogger("afresh.sensors")
LOOK_AGAIN_SECONDS = 0.02


class Recorded(Protocol):
    """What the ledger has of a sensor, asked for when one starts."""

    def known(self, sensor: str) -> Mapping[str, str]:
        """Give the same, looked up when it is asked for."""
        ...

    def paths(self, sensor: str) -> Mapping[str, str]:
        """Give each recorded uri and its identity as JSON."""
        ...

    def unmatched(self, sensor: str) -> frozenset[str]:
        """Name the uris that were recorded as unmatched."""
        ...

    def cursor(self, sensor: str) -> str:
        """Give what its last batch left."""
        ...


class Supervisor:
    """Starts, stops and restarts sensors. Files share one task, the others have one each."""

    def __init__(
        self,
        tasks: TaskGroup,
        *,
        watcher: FolderWatcher,
        emit: Emit,
        recorded: Recorded,
        project: str,
        staging: str,
        now: Callable[[], float],
        random: Random,
        on_health: Callable[[Sensor, Health], None],
        http: HttpRoutes | None = None,
    ) -> None:
        self._http = http
        self._tasks = tasks
        self._watcher = watcher
        self._emit = emit
        self._recorded = recorded
        self._project = project
        self._staging = staging
        self._now = now
        self._random = random
        self._on_health = on_health
        self.sensors: dict[str, Sensor] = {}
        self._own_tasks: dict[str, SensorTask] = {}
        self._ending: dict[str, SensorTask] = {}
        self._declared: dict[str, tuple[Declaration, tuple[str, ...], str]] = {}
        self._snapshot = ""
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
        # Beside what is staged, in the state folder.
        self._snapshot = os.path.join(os.path.dirname(self._staging), "snapshots", manifest.digest)
        for name in [n for n in self._declared if n not in sources]:
            self._stop(name)
            del self._declared[name]
        for name, source in sources.items():
            # A sensor that is the user's code is another one with any other code.
            code = manifest.digest if source.sensor.kind == "custom" else ""
            declared = (source.sensor, source.captures, code)
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

        async def scan_one(sensor: Sensor) -> None:
            nonlocal found
            # A sensor that is failed says so in its health; the others are scanned all the same.
            with suppress(AfreshError):
                found += await sensor.scan()

        async with anyio.create_task_group() as group:
            for sensor_name, sensor in self.sensors.items():
                if sensor_name in self._running:
                    group.start_soon(scan_one, sensor)
        return found

    def confirm(self, source: str, uri: str, identity: Identity | ObjectIdentity) -> None:
        """An ingest read this state of a file: it is no news."""
        sensor = self.sensors.get(source)
        match identity:
            case Identity() if isinstance(sensor, FileSensor):
                sensor.confirm(uri, identity)
            case ObjectIdentity() if isinstance(sensor, Confirming):
                sensor.confirm(uri, identity)

    @property
    def quiet(self) -> bool:
        """All that the running sensors saw is recorded; one that is failed has nothing to say."""
        return all(
            sensor.is_quiet or self._health(sensor).state == "failed"
            for name, sensor in self.sensors.items()
            if name in self._running
        )

    async def wait_until_checked(self) -> None:
        """Return when every running sensor has looked at everything once, or cannot."""
        for name, sensor in list(self.sensors.items()):
            while name in self._running and not (
                sensor.checked or self._health(sensor).state == "failed"
            ):
                self._health_news = anyio.Event()
                with anyio.move_on_after(LOOK_AGAIN_SECONDS):
                    await self._health_news.wait()

    def _note_health(self, sensor: Sensor) -> None:
        self._health_news.set()
        self._on_health(sensor, self._health(sensor))

    def _health(self, sensor: Sensor) -> Health:
        """How a sensor says it is, unless it is not running at all."""
        own = self._own_tasks.get(sensor.name)
        error = self.crashed.get(sensor.name) or (own.error if own is not None else "")
        if error:
            return msgspec.structs.replace(sensor.health, state="failed", error=error)
        return sensor.health

    def rows(self, last: Mapping[str, Any]) -> list[dict[str, Any]]:
        """One row a sensor, with CLI.md's keys; `last` has the time of each one's last event."""
        rows = []
        for name, sensor in sorted(self.sensors.items()):
            health = self._health(sensor)
            state = "paused" if name in self.paused else health.state
            rows.append(
                {
                    "sensor": name,
                    "kind": sensor.kind,
                    "source": name,
                    "state": state,
                    "cursor": self._recorded.cursor(name),
                    "lag": health.lag,
                    "last_event_at": last.get(name),
                    "error": health.error or (health.note if sensor.kind == "file" else ""),
                    "note": health.note,
                }
            )
        return rows

    def _find(self, name: str) -> Sensor:
        return self.sensors[self._require(name)]

    def _require(self, name: str) -> str:
        if name not in self._declared:
            raise UsageError(
                f"Expected a sensor's name, found {name!r}", hint=did_you_mean(name, self._declared)
            )
        return name

    def _start(self, source: Source) -> None:
        sensor = self._built(source)
        self.sensors[source.name] = sensor
        if source.name in self.paused:
            return
        self._running.add(source.name)
        if isinstance(sensor, FileSensor):
            sensor.start(self._note_news)
        else:
            self._tasks.start_soon(self._run_own, source, sensor)

    def _built(self, source: Source) -> Sensor:
        try:
            return self._build(source)
        except AfreshError as error:
            return Unbuilt(source.name, source.sensor.kind, error)

    def _build(self, source: Source) -> Sensor:
        if source.sensor.kind != "file":
            return build_sensor(
                SensorContext(
                    source=source,
                    project=self._project,
                    staging=f"{self._staging}/{source.name}",
                    cursor=self._recorded.cursor(source.name),
                    known=self._recorded.known(source.name),
                    now=self._now,
                    random=self._random,
                    tell=lambda: self._note_health(self.sensors[source.name]),
                    http=self._http,
                    snapshot=self._snapshot,
                )
            )
        options = source.sensor.options
        known = self._recorded.paths(source.name)
        return FileSensor(
            name=source.name,
            pattern=Pattern.parse(str(options["pattern"])),
            watcher=self._watcher,
            settle_seconds=float(options["settle_seconds"] or 0.0),
            known={uri: _identity.decode(text) for uri, text in known.items() if text},
            unmatched=self._recorded.unmatched(source.name),
            on_health=self._note_health,
        )

    async def _run_own(self, source: Source, sensor: Sensor) -> None:
        """Run a sensor in this task, when the one that it replaces has ended.

        It is built again then: what the other one handed on last has moved the cursor.
        """
        before = self._ending.get(sensor.name)
        if before is not None:
            await before.wait_ended()
            if self._ending.get(sensor.name) is before:
                del self._ending[sensor.name]
        if self.sensors.get(sensor.name) is not sensor or sensor.name not in self._running:
            return
        if before is not None:
            sensor = self._built(source)
            self.sensors[source.name] = sensor
        own = SensorTask(
            sensor,
            self._emit,
            tasks=self._tasks,
            random=self._random,
            now=self._now,
            tell=lambda: self._note_health(sensor),
        )
        self._own_tasks[sensor.name] = own
        await own.run()

    def _stop(self, name: str, *, forget: bool = True) -> None:
        if name in self._running:
            self._running.discard(name)
            sensor = self.sensors[name]
            if isinstance(sensor, FileSensor):
                sensor.stop()
            elif (own := self._own_tasks.pop(name, None)) is not None:
                own.stop()
                self._ending[name] = own
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
                if isinstance(sensor, FileSensor) and name in self._running:
                    await self._drain(sensor)
            self._news = anyio.Event()
            await self._news.wait()

    async def _drain(self, sensor: FileSensor) -> None:
        try:
            await sensor.drain(self._emit)
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this sensor alone
            _log.exception("sensor %s crashed", sensor.name)
            self.crashed[sensor.name] = str(error) or type(error).__name__
            self._note_health(sensor)
            self._tasks.start_soon(self._restart, sensor)
        else:
            if self.crashed.pop(sensor.name, None) is not None:
                self._pauses.pop(sensor.name, None)
                self._note_health(sensor)

    async def _restart(self, sensor: FileSensor) -> None:
        """After a pause that grows: what it could not hand on is still there."""
        pause = self._pauses.get(sensor.name, FIRST_PAUSE_SECONDS)
        self._pauses[sensor.name] = min(2 * pause, LONGEST_PAUSE_SECONDS)
        await anyio.sleep(pause * (0.5 + 0.5 * self._random.random()))
        if sensor.name in self._running:
            self._note_news(sensor)
