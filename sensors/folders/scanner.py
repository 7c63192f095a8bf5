"""Scans of watched folders: what is there against what is known, in a thread; then what follows."""

import errno
import os
import time
from collections.abc import Collection

import anyio
import anyio.lowlevel
import anyio.to_thread

from afresh.sensors.folders.folder import Findings, Folder
from afresh.sensors.folders.notify import Notifications, Unwatchable
from afresh.sensors.folders.probe import probe
from afresh.sensors.folders.scan import Listing, Place, list_folder, place_of
from afresh.sensors.folders.sightings import CHUNK, Sightings
from afresh.sensors.listing import gone, is_suspicious


class Scanner:
    """Scans folders, and hands suspicions to the sightings."""

    def __init__(
        self, project: str, sightings: Sightings, skip: Collection[str], interval_seconds: float
    ) -> None:
        self._project = project
        self._sightings = sightings
        self._skip = frozenset(skip)
        self._interval_seconds = interval_seconds
        self._limiter = anyio.CapacityLimiter(1)

    async def scan(self, folders: list[Folder], notifications: Notifications) -> None:
        """Scan folders, all in one thread: one hop for thousands of small ones."""
        tickets: list[anyio.Event] = []
        accepting: list[frozenset[str]] = []
        for folder in folders:
            tickets.append(folder.ticket)
            accepting.append(frozenset(sensor.name for sensor in folder.accepting))
            folder.ticket, folder.accepting = anyio.Event(), set()
        try:
            findings = await anyio.to_thread.run_sync(
                lambda: [self._find(folder, notifications) for folder in folders],
                limiter=self._limiter,
            )
            for folder, found, accepted in zip(folders, findings, accepting, strict=True):
                await self._apply(folder, found, accepted)
        finally:
            for folder, ticket in zip(folders, tickets, strict=True):
                folder.end()
                ticket.set()
                for sensor in tuple(folder.sensors.values()):
                    sensor.say_health()
            notifications.wake()

    async def enter(self, new: dict[str, Folder], notifications: Notifications) -> None:
        """Watch and list folders that have just appeared below watched ones."""
        found = await anyio.to_thread.run_sync(
            lambda: [self._list_new(top, folder, notifications) for top, folder in new.items()],
            limiter=self._limiter,
        )
        for folder, files in zip(new.values(), found, strict=True):
            if files is None:
                folder.want()
            else:
                await self._suspect(files)
        notifications.wake()

    def _find(self, folder: Folder, notifications: Notifications) -> Findings:
        """In a thread: list a folder and compare it."""
        started = time.perf_counter()
        sensors = tuple(folder.sensors.values())
        unwatched = folder.unwatched
        folder.unwatched = ""
        try:
            if folder.places.get(folder.root) != place_of(folder.root):
                folder.inside = (os.path.realpath(self._project), os.path.realpath(folder.root))
                folder.file_system = probe(folder.root)
            listing = self._list(folder.root, folder, notifications)
        except OSError as error:
            folder.unwatched = unwatched
            return Findings(error=error, seconds=time.perf_counter() - started)
        return Findings(
            places=listing.folders,
            changed=self._changed(folder, listing),
            gone={sensor: gone(list(sensor.known), listing.files) for sensor in sensors},
            unmatched_gone=[
                path
                for path, sensor in list(self._sightings.owners.unmatched.items())
                if sensor.folder is folder and path not in listing.files
            ],
            seconds=time.perf_counter() - started,
        )

    def _list(self, top: str, folder: Folder, notifications: Notifications) -> Listing:
        def enter(path: str, place: Place) -> None:
            try:
                notifications.watch(path, place)
            except Unwatchable as reason:
                folder.unwatched = str(reason)

        return list_folder(
            top,
            recursive=any(s.pattern.recursive for s in tuple(folder.sensors.values())),
            skip=self._skip,
            inside=folder.inside,
            enter=enter,
            follow=top == folder.root,
        )

    def _list_new(self, top: str, folder: Folder, notifications: Notifications) -> list[str] | None:
        """In a thread: list a new folder; None if that fails, and not because it vanished."""
        if top in self._skip:
            return []
        try:
            return list(self._list(top, folder, notifications).files)
        except OSError as error:
            return [] if error.errno in (errno.ENOENT, errno.ENOTDIR) else None

    def _changed(self, folder: Folder, listing: Listing) -> list[str]:
        """Give the paths that are not as some sensor knows them, or that nobody knows."""
        owners = self._sightings.owners
        changed = []
        for path, identity in listing.files.items():
            routes = owners.find(path)
            if routes:
                if any(s.folder is folder and s.known.get(path) != identity for s, _ in routes):
                    changed.append(path)
            elif path not in owners.unmatched and owners.reporter(path) is not None:
                changed.append(path)
        return changed

    async def _apply(self, folder: Folder, found: Findings, accepted: frozenset[str]) -> None:
        """In the loop: decide whether the folder is in order, and look at what is not as known."""
        moved = folder.moved(found.places)
        if found.error is not None:
            folder.fail(found.error)
            if accepted and found.error.errno in (errno.ENOENT, errno.ENOTDIR):
                await self._delete_all(folder, accepted)
        elif moved and not accepted and any(s.known for s in folder.sensors.values()):
            folder.fail(moved)
        else:
            folder.pass_check(found.places)
            missing = self._missing(folder, found, accepted)
            if accepted:
                await self._sightings.delete(missing, accepted=accepted)
            else:
                self._sightings.postpone_deletions(missing)
            await self._suspect(found.changed)
            await self._look_later(folder)
        folder.scanned(anyio.current_time(), found.seconds, self._interval_seconds)

    def _missing(self, folder: Folder, found: Findings, accepted: frozenset[str]) -> list[str]:
        """Give what may be reported as gone; a sensor of which too much is gone at once fails."""
        missing = list(found.unmatched_gone)
        for sensor, paths in found.gone.items():
            if sensor.folder is not folder:
                continue
            unexpected = sum(not self._sightings.is_going(path) for path in paths)
            if is_suspicious(unexpected, len(sensor.known)) and sensor.name not in accepted:
                sensor.fail(unexpected)
                continue
            sensor.pass_check()
            missing += paths
        return missing

    async def _delete_all(self, folder: Folder, accepted: frozenset[str]) -> None:
        for sensor in tuple(folder.sensors.values()):
            if sensor.name in accepted:
                paths = [*sensor.known, *sensor.unmatched]
                await self._sightings.delete(paths, accepted=accepted)

    async def _suspect(self, paths: list[str]) -> None:
        """Look at paths, after noting all as there: of two files of one key none goes ahead."""
        for start in range(0, len(paths), CHUNK):
            self._sightings.note_present(paths[start : start + CHUNK])
            await anyio.lowlevel.checkpoint()
        for start in range(0, len(paths), CHUNK):
            for path in paths[start : start + CHUNK]:
                self._sightings.consider(path, closed=False)
            await anyio.lowlevel.checkpoint()

    async def _look_later(self, folder: Folder) -> None:
        """Look at what was notified while the folder was not known to be in order."""
        later, folder.later = folder.later, {}
        paths = list(later)
        for start in range(0, len(paths), CHUNK):
            for path in paths[start : start + CHUNK]:
                self._sightings.consider(path, closed=later[path])
            await anyio.lowlevel.checkpoint()
