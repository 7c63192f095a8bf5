"""What becomes of a path at which something may have happened: waiting, the look that decides.

Runs in the loop. Every function here may be called for any path at any time: what is reported
depends on what is there now and on what was reported before, not on why it was called.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from afresh.assets.partition import is_temporary
from afresh.sensors.folders.ages import Ages
from afresh.sensors.folders.departures import Departures
from afresh.sensors.folders.folder import Folder
from afresh.sensors.folders.look import Seen, look
from afresh.sensors.folders.owners import Owners, Routed
from afresh.sensors.folders.rivals import Rivals
from afresh.sensors.folders.scan import place_of
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.settle import Settling

if TYPE_CHECKING:
    from afresh.sensors.base import Identity

CHUNK = 256
"""So many paths are looked at before others have their turn in the loop: about 5 ms."""
GRANULARITY_SECONDS = 0.02
"""Two changes closer than this may leave one timestamp."""
RACY_SECONDS = 1.0
"""A closing that is told so soon after such a look may be of a later change."""
OPEN_FACTOR = 10
"""A file seen to be created and not yet closed must be stable for so many times its settle time."""
LATER_AT_MOST = 100_000


class Sightings:
    """The paths under consideration, for all sensors."""

    def __init__(self, owners: Owners, now: Callable[[], float]) -> None:
        self.owners = owners
        self._now = now
        self._ages = Ages(now)
        self._settling = Settling()
        self._opened: set[str] = set()
        self._complete: dict[str, Identity] = {}
        """Of what is settling: what waits only for another file of its key to go."""
        self._rivals = Rivals(now)
        self._departures = Departures()
        self._racy: dict[str, float] = {}
        self.progress = anyio.Event()

    def opened(self, path: str) -> None:
        """Note that a new file is being written."""
        if path in self._settling:
            self._opened.add(path)

    def forget_opened(self) -> None:
        """Note that closings may have been lost."""
        self._opened.clear()

    def is_open(self, path: str) -> bool:
        """Is a writer at work on it, as far as is known."""
        return path in self._opened

    def is_waiting(self, path: str) -> bool:
        """Will this path be looked at again."""
        return path in self._settling or path in self._departures

    def consider(self, path: str, *, closed: bool) -> None:
        """Look at a path: report it, take it back, or wait. `closed`: or moved in."""
        if is_temporary(path.rpartition("/")[2]):
            return
        if closed:
            self._opened.discard(path)
        self._consider(path, closed=closed)
        self._mark(path)

    def _consider(self, path: str, *, closed: bool) -> None:
        routes = self._in_order(path, closed=closed)
        unmatched = (
            None if routes or self.owners.find(path) else self._unmatched_by(path, closed=closed)
        )
        sensor = unmatched or (routes[0][0] if routes else None)
        if sensor is None or sensor.folder is None:
            return
        try:
            seen = look(path, sensor.folder.inside)
        except OSError:
            sensor.folder.want()
            return
        if seen is None:
            self._absent(path)
            return
        self._departures.discard(path)
        for owner, key in routes:
            owner.paths.add(path, key)
        news = self._news(path, routes, unmatched, seen, closed=closed)
        closed = closed or self._complete.get(path) == seen.identity
        if news and not closed and not self._is_stable(path, seen, news[0][0], news):
            return
        self._forget(path)
        for owner, found in news:
            self._offer(owner, path, found, seen)

    def _mark(self, path: str) -> None:
        """Let those whom a path concerns know whether it will be looked at again."""
        waiting = self.is_waiting(path)
        for sensor in self.owners.concerned(path):
            if waiting:
                sensor.pending[path] = None
            else:
                sensor.pending.pop(path, None)
        if not waiting:
            self.progress.set()

    def note_present(self, paths: Iterable[str]) -> None:
        """Note that these files are there, before any of them is reported."""
        for path in paths:
            for sensor, key in self.owners.find(path):
                sensor.paths.add(path, key)

    def is_going(self, path: str) -> bool:
        """Has a notification said that it is gone."""
        return path in self._departures

    def postpone_deletions(self, paths: Iterable[str]) -> None:
        """Look soon at paths that a scan did not find."""
        now = anyio.current_time()
        for path in paths:
            self.postpone_deletion(path, now)

    def postpone_deletion(self, path: str, now: float) -> None:
        """Look at a path that is said to be gone, when no more are going."""
        if any(sensor.remembers(path) for sensor in self.owners.concerned(path)):
            self._departures.add(path, now)
            self._mark(path)

    def next_at(self) -> float | None:
        """When something is due next, on the monotonic clock."""
        times = (self._settling.next_at(), self._departures.next_at())
        return min((at for at in times if at is not None), default=None)

    async def look_again(self) -> None:
        """Look at all that is due."""
        while due := self._settling.due(anyio.current_time(), CHUNK):
            for path in due:
                self.consider(path, closed=False)
            await anyio.lowlevel.checkpoint()
        if gone := self._departures.take_due(anyio.current_time()):
            await self.delete(gone)

    async def delete(self, paths: Iterable[str], *, accepted: frozenset[str] = frozenset()) -> None:
        """Report those that are really gone, from folders that are in order; others want a scan.

        `accepted` are sensors whose deletions were confirmed, whatever their folder is now.
        """
        in_order: dict[str, bool] = {}
        for count, path in enumerate(paths, 1):
            for sensor in self.owners.concerned(path):
                self._delete(sensor, path, in_order, accepted)
            self._mark(path)
            if count % CHUNK == 0:
                await anyio.lowlevel.checkpoint()

    def _delete(
        self, sensor: FileSensor, path: str, in_order: dict[str, bool], accepted: frozenset[str]
    ) -> None:
        folder = sensor.folder
        if folder is None:
            return
        if folder.root not in in_order:
            in_order[folder.root] = _is_in_order(folder)
        if sensor.name not in accepted and (sensor.error or not in_order[folder.root]):
            folder.want()
            return
        try:
            seen = look(path, folder.inside)
        except OSError:
            folder.want()
            return
        if seen is not None:
            self.consider(path, closed=False)
            return
        self._forget(path)
        key = next((key for owner, key in self.owners.find(path) if owner is sensor), None)
        self._take_back(sensor, path, key)

    def _take_back(self, sensor: FileSensor, path: str, key: str | None) -> None:
        """Report a path as gone; what is left of its key is then news, even if it was known."""
        self.owners.unmatched.pop(path, None)
        if key is None:
            sensor.offer_deleted(path, None, self._now())
            return
        left = self._rivals.take_back(sensor, path, key)
        if left is None or sensor.folder is None:
            return
        try:
            seen = look(left, sensor.folder.inside)
        except OSError:
            sensor.folder.want()
            return
        # One that is still being written waits for its own sake.
        if seen is not None and (left not in self._settling or left in self._complete):
            self._offer(sensor, left, key, seen)

    def _in_order(self, path: str, *, closed: bool) -> Routed:
        """Give the sensors that may report; for others keep it until a scan finds them in order."""
        routes = []
        for sensor, key in self.owners.find(path):
            folder = sensor.folder
            if folder is None:
                continue
            if sensor.checked and not sensor.error and not folder.error:
                routes.append((sensor, key))
            else:
                self._postpone(folder, path, closed=closed)
        return tuple(routes)

    def _postpone(self, folder: Folder, path: str, *, closed: bool) -> None:
        if len(folder.later) >= LATER_AT_MOST:
            folder.later.clear()
            folder.want()
        folder.later[path] = closed

    def _unmatched_by(self, path: str, *, closed: bool) -> FileSensor | None:
        sensor = self.owners.of_unmatched(path)
        if sensor is None or sensor.folder is None:
            return None
        if sensor.checked and not sensor.error and not sensor.folder.error:
            return sensor
        self._postpone(sensor.folder, path, closed=closed)
        return None

    def _news(
        self,
        path: str,
        routes: Routed,
        unmatched: FileSensor | None,
        seen: Seen,
        *,
        closed: bool,
    ) -> list[tuple[FileSensor, str | None]]:
        """Give those who do not know it so; of what is unmatched only the first sight is news."""
        if unmatched is not None:
            return [(unmatched, None)] if path not in self.owners.unmatched else []
        again = closed and self._racy.get(path, 0.0) > anyio.current_time() - RACY_SECONDS
        return [(s, k) for s, k in routes if again or s.current(path) != seen.identity]

    def _is_stable(
        self,
        path: str,
        seen: Seen,
        sensor: FileSensor,
        news: Iterable[tuple[FileSensor, str | None]],
    ) -> bool:
        """Has it been as it is for its settle time; its timestamps count if of this clock."""
        patience = max(GRANULARITY_SECONDS, *(s.patience_seconds for s, _ in news))
        stable_for = 0.0
        if sensor.folder is not None and sensor.folder.file_system.trusted:
            stable_for = self._ages.stable_seconds(seen.identity)
        if path in self._opened:
            patience *= OPEN_FACTOR
        now = anyio.current_time()
        return self._settling.look(path, seen.identity, now, patience, stable_for)

    def _offer(self, sensor: FileSensor, path: str, key: str | None, seen: Seen) -> None:
        if self._ages.age(seen.identity) < GRANULARITY_SECONDS:
            self._racy[path] = anyio.current_time()
            if len(self._racy) > LATER_AT_MOST:
                self._racy.clear()
        if key is None:
            self.owners.unmatched[path] = sensor
            sensor.offer(path, None, seen, self._now())
            return
        now = anyio.current_time()
        wait_seconds = self._rivals.wait_seconds(sensor, path, key, now)
        if wait_seconds > 0.0:
            self._complete[path] = seen.identity
            self._settling.look(path, seen.identity, now, wait_seconds)
            return
        sensor.offer(path, key, self._rivals.judge(sensor, path, key, seen), self._now())

    def _forget(self, path: str) -> None:
        self._settling.forget(path)
        self._complete.pop(path, None)

    def _absent(self, path: str) -> None:
        self._opened.discard(path)
        self._forget(path)
        self.postpone_deletion(path, anyio.current_time())


def _is_in_order(folder: Folder) -> bool:
    """Is the root the same folder that the last good scan saw."""
    try:
        return not folder.error and folder.places.get(folder.root) == place_of(folder.root)
    except OSError:
        return False
