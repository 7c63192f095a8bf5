"""The sensors of a generation, each with its own restarts.

One that crashes costs itself.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from afresh.assets.errors import AfreshError, UsageError
from afresh.assets.manifest import Manifest, Source
from afresh.assets.nearest import did_you_mean
from afresh.daemon.sensing.builder import Recorded, SensorBuilder
from afresh.daemon.sensing.declared import Declared, declarations
from afresh.daemon.sensing.file_sensors import FileSensors
from afresh.daemon.sensing.rows import sensor_row
from afresh.daemon.sensing.tasks import Ending, SensorTask
from afresh.sensors.base import (
    Confirming,
    Emit,
    Health,
    Identity,
    ObjectIdentity,
    Sensor,
)
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.watcher import FolderWatcher
from afresh.sensors.http_route import HttpRoutes

LOOK_AGAIN_SECONDS = 0.02


class Supervisor:
    """Starts, stops and restarts sensors. Files share one task, the others have one each.

    `record` returns when a batch is recorded, `room` when more of a source may come.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        *,
        watcher: FolderWatcher,
        record: Emit,
        room: Callable[[str], Awaitable[None]],
        is_flooded: Callable[[str], bool],
        recorded: Recorded,
        project: str,
        staging: str,
        now: Callable[[], float],
        random: Random,
        on_health: Callable[[Sensor, Health], None],
        http: HttpRoutes | None = None,
    ) -> None:
        self._tasks = tasks
        self._record = record
        self._room = room
        self._recorded = recorded
        self._now = now
        self._watcher = watcher
        self._random = random
        self._on_health = on_health
        self.sensors: dict[str, Sensor] = {}
        self._own_tasks: dict[str, SensorTask] = {}
        self._ending: dict[str, Ending] = {}
        """Those that were stopped: who takes the place of one waits for its end."""
        self._withdrawn: set[str] = set()
        self._declared: dict[str, Declared] = {}
        self._running: set[str] = set()
        self.paused: set[str] = set()
        self._health_news = anyio.Event()
        self._last_errors: dict[str, tuple[float, str]] = {}
        self._files = FileSensors(
            record,
            is_flooded=is_flooded,
            tasks=tasks,
            random=random,
            tell=self._note_health,
        )
        self._builder = SensorBuilder(
            watcher=watcher,
            recorded=recorded,
            project=project,
            staging=staging,
            now=now,
            random=random,
            http=http,
            tell=self._note_health_of,
        )

    async def run(self) -> None:
        """Hand on what the sensors of files have, until cancelled; the others have own tasks."""
        await self._files.run()

    async def withdraw(self, manifest: Manifest) -> None:
        """Stop the sensors that a generation declares otherwise or no more, before it is in force.

        Returns when what they handed on is recorded, under the definitions that it was seen by.
        What comes until `follow` is found by who takes their place.
        """
        declared = declarations(manifest)
        names = [name for name, before in self._declared.items() if declared.get(name) != before]
        for name in names:
            self._stop(name, forget=False)
            self._withdrawn.add(name)
        for name in names:
            if (ending := self._ending.get(name)) is not None:
                await ending.wait_recorded()

    def follow(self, manifest: Manifest) -> None:
        """Run the sensors that a generation declares: what did not change goes on undisturbed."""
        sources = {source.name: source for source in manifest.sources}
        declared = declarations(manifest)
        self._builder.digest = manifest.digest
        withdrawn, self._withdrawn = self._withdrawn, set()
        for name in [n for n in self._declared if n not in sources]:
            self._stop(name)
            del self._declared[name]
        for name, source in sources.items():
            if self._declared.get(name) != declared[name] or name in withdrawn:
                self._stop(name)
                self._declared[name] = declared[name]
                self._start(source)
        self._rest()

    def pause(self, name: str) -> None:
        """Stop a sensor; its cursor stays, and the scan at its start finds what came meanwhile."""
        self.paused.add(self._require(name))
        self._rest()
        self._stop(name, forget=False)

    def resume(self, name: str, source: Source) -> None:
        """Start it again."""
        self.paused.discard(name)
        self._rest()
        if name not in self._running:
            self._start(source)

    async def reset(self, source: Source, forget: Callable[[], Awaitable[None]]) -> None:
        """Stop a sensor, let it be forgotten where it was, and start it unless it is paused.

        Returns when it has looked at everything. Raises SensorError where it cannot.
        """
        name = source.name
        self._stop(self._require(name), forget=False)
        # What it handed on last would bring its place back.
        if (before := self._ending.pop(name, None)) is not None:
            await before.wait_ended()
        try:
            await forget()
        finally:
            if name not in self._running:
                self._start(source)
        if name not in self.paused:
            await self.scan(name, accept=True)

    async def scan(self, name: str, *, accept: bool) -> int:
        """Scan one sensor, or all of them for an empty name; how many arrivals were recorded.

        Raises UsageError for an unknown name, SensorError where the folder cannot be trusted.
        """
        if name:
            await self._until_started(self._require(name))
            return await self.sensors[self._require(name)].scan(accept=accept)
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
        return not self._withdrawn and all(
            sensor.is_quiet or self._health(sensor).state == "failed"
            for name, sensor in self.sensors.items()
            if name in self._running
        )

    async def wait_until_checked(self) -> None:
        """Return when every running sensor has looked at everything once, or cannot."""
        for name in list(self.sensors):
            # Another may come to have the name meanwhile.
            while name in self._withdrawn or (
                name in self._running and not self._has_looked(self.sensors[name])
            ):
                self._health_news = anyio.Event()
                with anyio.move_on_after(LOOK_AGAIN_SECONDS):
                    await self._health_news.wait()

    def _has_looked(self, sensor: Sensor) -> bool:
        return sensor.checked or self._health(sensor).state == "failed"

    async def _until_started(self, name: str) -> None:
        """Return when a sensor runs, if it is to: one before it may have to end first."""
        while name in self._withdrawn or (  # noqa: ASYNC110 - seldom, and soon over
            name in self._running
            and name not in self._own_tasks
            and not self._files.is_running(self.sensors[name])
        ):
            await anyio.sleep(LOOK_AGAIN_SECONDS)

    def _note_health(self, sensor: Sensor) -> None:
        self._health_news.set()
        health = self._health(sensor)
        if health.state == "failed" and health.error:
            self._last_errors[sensor.name] = (self._now(), health.error)
        self._on_health(sensor, health)

    def _note_health_of(self, name: str) -> None:
        sensor = self.sensors.get(name)
        if sensor is not None:
            self._note_health(sensor)

    def _health(self, sensor: Sensor) -> Health:
        """How a sensor says it is, unless it is not running at all."""
        own = self._own_tasks.get(sensor.name)
        error = self._files.errors.get(sensor.name) or (own.error if own is not None else "")
        if error:
            return msgspec.structs.replace(sensor.health, state="failed", error=error)
        return sensor.health

    def rows(self, last: Mapping[str, Any]) -> list[dict[str, Any]]:
        """One row a sensor, as it is printed; `last` has the time of each one's last event."""
        return [
            sensor_row(
                sensor,
                self._health(sensor),
                is_paused=name in self.paused,
                cursor=self._recorded.cursor(name),
                last_event_at=last.get(name),
                last_error=self._last_errors.get(name, (None, "")),
            )
            for name, sensor in sorted(self.sensors.items())
        ]

    def _rest(self) -> None:
        """Tell who watches folders whose files wait for a sensor that is paused."""
        paused = [self.sensors[name] for name in sorted(self.paused & self.sensors.keys())]
        self._watcher.rest(sensor for sensor in paused if isinstance(sensor, FileSensor))

    def _require(self, name: str) -> str:
        if name not in self._declared:
            raise UsageError(
                f"Expected a sensor's name, found {name!r}", hint=did_you_mean(name, self._declared)
            )
        return name

    def _start(self, source: Source) -> None:
        sensor = self._builder.build(source)
        self.sensors[source.name] = sensor
        if source.name in self.paused:
            return
        self._running.add(source.name)
        if isinstance(sensor, FileSensor) and source.name not in self._ending:
            self._files.start(sensor)
        else:
            self._tasks.start_soon(self._run_in_turn, source, sensor)

    async def _run_in_turn(self, source: Source, sensor: Sensor) -> None:
        """Run a sensor, when the one that it replaces has ended.

        It is built again then: what the other one handed on last is known, and moved the cursor.
        """
        before = self._ending.get(sensor.name)
        if before is not None:
            await before.wait_ended()
            if self._ending.get(sensor.name) is before:
                del self._ending[sensor.name]
        if self.sensors.get(sensor.name) is not sensor or sensor.name not in self._running:
            return
        if before is not None:
            sensor = self._builder.build(source)
            self.sensors[source.name] = sensor
        if isinstance(sensor, FileSensor):
            self._files.start(sensor)
            return
        own = SensorTask(
            sensor,
            self._record,
            self._room,
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
                if (last := self._files.stop(sensor)) is not None:
                    self._ending[name] = last
            elif (own := self._own_tasks.pop(name, None)) is not None:
                own.stop()
                self._ending[name] = own
        if forget:
            self.sensors.pop(name, None)
            self._last_errors.pop(name, None)
            self._files.forget(name)
