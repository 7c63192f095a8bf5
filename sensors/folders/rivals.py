"""Two files of one key: neither is data while both are there (refused, both named).

A moment is given to those that replace the one by the other: gzip closes `d.csv.gz`, then removes
`d.csv`. What is left when the others are gone is news, even if it was known.
"""

from collections.abc import Callable

from afresh.sensors.folders.look import Seen, look
from afresh.sensors.folders.sensor import FileSensor

WAIT_SECONDS = 0.5


class Rivals:
    """Who waits for a rival to go, and who was refused for one."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since: dict[tuple[str, str], float] = {}
        self._refused: set[tuple[str, str]] = set()

    def wait_seconds(self, sensor: FileSensor, path: str, key: str, at: float) -> float:
        """How long to wait before reporting this file; `at` is now on the monotonic clock."""
        me = (sensor.name, path)
        if not self._has_any(sensor, path, key):
            self._since.pop(me, None)
            return 0.0
        left = self._since.setdefault(me, at) + WAIT_SECONDS - at
        if left > 0.0:
            return left
        del self._since[me]
        return 0.0

    def judge(self, sensor: FileSensor, path: str, key: str, seen: Seen) -> Seen:
        """Refuse a file that has rivals."""
        others = sensor.paths.rivals(path, key)
        if not others:
            self._refused.discard((sensor.name, path))
        if not others or seen.problem:
            return seen
        self._refused.add((sensor.name, path))
        return Seen(seen.identity, sensor.name_several(key, [path, *others]))

    def take_back(self, sensor: FileSensor, path: str, key: str) -> str | None:
        """Report a file as gone; return the last one left of its key if that is news by it."""
        self._since.pop((sensor.name, path), None)
        self._refused.discard((sensor.name, path))
        reported = sensor.offer_deleted(path, key, self._now())
        left = sensor.paths.rivals(path, key, 2)
        if len(left) != 1 or not (reported or (sensor.name, left[0]) in self._refused):
            return None
        self._since.pop((sensor.name, left[0]), None)
        return left[0]

    def _has_any(self, sensor: FileSensor, path: str, key: str) -> bool:
        """Is another file of the key there; what is there no more is taken back first."""
        while others := sensor.paths.rivals(path, key, 1):
            try:
                if sensor.folder is None or look(others[0], sensor.folder.inside) is not None:
                    return True
            except OSError:
                return True
            sensor.offer_deleted(others[0], key, self._now())
        return False
