"""What watches folders for all file sensors: notifications say where to look, scans are the truth.

A notification only means 'look at this path'; a scan only raises suspicions. What is reported is
decided by one look at the path at the end (`sightings`), so lost, late, doubled and reordered
notifications make no difference.
"""

from collections.abc import Callable, Collection, Iterable

import anyio
import anyio.abc
import anyio.lowlevel

from afresh.assets.partition import is_temporary
from afresh.sensors.folders import notify
from afresh.sensors.folders.due_times import DueTimes
from afresh.sensors.folders.folder import Folder
from afresh.sensors.folders.notify import Notifications
from afresh.sensors.folders.owners import Owners
from afresh.sensors.folders.scanner import Scanner
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.sightings import CHUNK, Sightings

INTERVAL_SECONDS = 60.0
PORTIONS = 40
"""After so many portions of notes others have their turn: scans, and what has settled."""
SCAN_WAIT_SECONDS = 0.5
"""How much longer than its settle time a scan waits for what it found."""
OPEN_WAIT_SECONDS = 0.1
"""So long it waits for files that are being written."""
CATCH_UP_SECONDS = 5.0
"""At most so long a scan waits for what was noted before it."""


class FolderWatcher:
    """Watches the folders of all sensors that join it. `project` is an absolute path.

    `now` gives seconds since the epoch. `skip` are folders never entered (the state folder).
    `interval_seconds` is between two scans of a folder that notifies; others are scanned every few
    seconds. `run` has to run for the sensors to report anything.
    """

    def __init__(
        self,
        project: str,
        *,
        now: Callable[[], float],
        interval_seconds: float = INTERVAL_SECONDS,
        skip: Collection[str] = (),
    ) -> None:
        self.project = project.rstrip("/") or "/"
        self._folders: dict[str, Folder] = {}
        self._due_times = DueTimes()
        self._owners = Owners(self.project, self._folders)
        self._sightings = Sightings(self._owners, now)
        self._notifications: Notifications | None = None
        self._scanner = Scanner(self.project, self._sightings, skip, interval_seconds)
        self._left = False
        self._caught_up = anyio.Event()
        self._new_folders: dict[str, Folder] = {}

    def relative(self, path: str) -> str:
        """Give a path as patterns see it: relative to the project."""
        return self._owners.relative(path)

    def join(self, sensor: FileSensor) -> None:
        """Watch for a sensor from now on; its folder is scanned first."""
        root = f"{self.project.rstrip('/')}/{sensor.pattern.root}".rstrip("/")
        folder = self._folders.get(root)
        if folder is None:
            folder = self._folders[root] = Folder(root, self.project, self._due_times)
        folder.sensors[sensor.name] = sensor
        folder.ask()
        sensor.folder, sensor.checked = folder, False
        self._owners.add(sensor)
        self._wake()

    def leave(self, sensor: FileSensor) -> None:
        """Watch for a sensor no more."""
        folder = sensor.folder
        if folder is None:
            return
        sensor.folder, sensor.checked = None, False
        sensor.pending.clear()
        self._owners.remove(sensor)
        if folder.sensors.get(sensor.name) is sensor:
            del folder.sensors[sensor.name]
        folder.accepting.discard(sensor)
        if not folder.sensors:
            del self._folders[folder.root]
            folder.retire()
            folder.ticket.set()
            self._left = True
            self._wake()

    def rest(self, sensors: Iterable[FileSensor]) -> None:
        """Leave the files of these to them: they are paused, and will look for themselves."""
        self._owners.resting = tuple(sensor.pattern for sensor in sensors)

    async def run(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Watch until cancelled."""
        self._notifications = notifications = Notifications()
        try:
            async with anyio.create_task_group() as tasks:
                task_status.started()
                while True:
                    self._start_scans(tasks, notifications)
                    if self._left:
                        self._left = False
                        notifications.keep(self._is_needed)
                    with anyio.move_on_at(self._next_at()):
                        await notifications.wait()
                    await self._take_notes(notifications)
                    await self._sightings.look_again()
        finally:
            self._notifications = None
            notifications.close()
            self._caught_up.set()
            for folder in self._folders.values():
                folder.ticket.set()

    async def scan(self, sensor: FileSensor, *, accept: bool) -> None:
        """Scan the sensor's folder from now, and wait for what it found to settle."""
        folder = sensor.folder
        if folder is None:
            return
        if accept:
            folder.accepting.add(sensor)
        folder.ask()
        ticket = folder.ticket
        if self._caught_up.is_set():
            self._caught_up = anyio.Event()
        self._wake()
        await ticket.wait()
        with anyio.move_on_after(CATCH_UP_SECONDS):
            # What was closed before the call has been noted, but maybe not been looked at.
            await self._caught_up.wait()
        with anyio.move_on_after(OPEN_WAIT_SECONDS):
            await self._settle(set(sensor.pending))
        paths = {path for path in sensor.pending if not self._sightings.is_open(path)}
        with anyio.move_on_after(sensor.patience_seconds + SCAN_WAIT_SECONDS):
            await self._settle(paths)

    async def _settle(self, paths: set[str]) -> None:
        sightings = self._sightings
        while any(sightings.is_waiting(path) for path in paths):
            if sightings.progress.is_set():
                sightings.progress = anyio.Event()
            await sightings.progress.wait()

    def _wake(self) -> None:
        if self._notifications is not None:
            self._notifications.wake()

    def _is_needed(self, path: str) -> bool:
        """Is this folder one that somebody watches, or below one."""
        if path in self._folders:
            return True
        above = path.rpartition("/")[0]
        while above:
            folder = self._folders.get(above)
            if folder is not None and folder.recursive:
                return True
            above = above.rpartition("/")[0]
        return False

    def _next_at(self) -> float:
        times = (self._due_times.next_at(), self._sightings.next_at())
        return min((at for at in times if at is not None), default=float("inf"))

    def _start_scans(self, tasks: anyio.abc.TaskGroup, notifications: Notifications) -> None:
        roots = self._due_times.take(anyio.current_time())
        due = [folder for root in roots if (folder := self._folders.get(root)) is not None]
        if due:
            for folder in due:
                folder.begin()
            tasks.start_soon(self._scanner.scan, due, notifications)
        if self._new_folders:
            new, self._new_folders = self._new_folders, {}
            tasks.start_soon(self._scanner.enter, new, notifications)

    async def _take_notes(self, notifications: Notifications) -> None:
        """Look at all paths that something was noted of, in portions."""
        for _ in range(PORTIONS):
            notes = notifications.drain(CHUNK)
            if not notes:
                self._caught_up.set()
                return
            touched: dict[str, bool] = {}
            opened: list[str] = []
            for path, mask in notes:
                if mask & notify.OVERFLOW:
                    self._lost_notes()
                elif mask & (notify.FOLDER | notify.SELF_GONE):
                    self._note_folder(path, mask, notifications)
                elif mask & notify.OPENED:
                    opened.append(path)
                elif mask & notify.GONE:
                    touched.pop(path, None)
                    touched[path] = False
                else:
                    finished = bool(mask & (notify.CLOSED | notify.MOVED_IN))
                    touched[path] = touched.pop(path, False) or finished
            for path, closed in touched.items():
                self._sightings.consider(path, closed=closed)
            for path in opened:
                self._sightings.opened(path)
            await anyio.lowlevel.checkpoint()
        notifications.wake()

    def _lost_notes(self) -> None:
        self._sightings.forget_opened()
        for folder in self._folders.values():
            folder.want()

    def _note_folder(self, path: str, mask: int, notifications: Notifications) -> None:
        """Something happened to a folder: a root, or one below a root."""
        gone = mask & (notify.GONE | notify.SELF_GONE)
        root = self._folders.get(path)
        if root is not None and gone:
            root.want()
        if is_temporary(path.rpartition("/")[2]):
            return
        above = path.rpartition("/")[0]
        while above:
            folder = self._folders.get(above)
            if folder is not None and folder.recursive:
                if mask & notify.GONE:
                    notifications.unwatch(path)
                    folder.want()
                else:
                    # Its watch may have ended because it was made anew: then this brings it back.
                    self._new_folders[path] = folder
                return
            above = above.rpartition("/")[0]
