"""Paths that are said to be gone: looked at together, when no more are going."""

QUIET_SECONDS = 0.1
"""Deletions are reported after so long without another: the folder itself may be going."""
QUIET_AT_MOST_SECONDS = 5.0


class Departures:
    """Gathers paths. Times are on the monotonic clock."""

    def __init__(self) -> None:
        self._paths: dict[str, None] = {}
        self._first = self._last = 0.0

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    def add(self, path: str, now: float) -> None:
        """Note that a path is said to be gone."""
        if not self._paths:
            self._first = now
        self._paths[path] = None
        self._last = now

    def discard(self, path: str) -> None:
        """Note that it is there after all."""
        self._paths.pop(path, None)

    def next_at(self) -> float | None:
        """When they are due; None for none."""
        if not self._paths:
            return None
        return min(self._last + QUIET_SECONDS, self._first + QUIET_AT_MOST_SECONDS)

    def take_due(self, now: float) -> list[str]:
        """Take out all of them if they are due."""
        at = self.next_at()
        if at is None or at > now:
            return []
        paths, self._paths = list(self._paths), {}
        return paths
