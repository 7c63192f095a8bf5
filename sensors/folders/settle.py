"""Debounce, pure: which paths have been stable for long enough. Takes the time, owns no clock."""

import heapq

import msgspec

from afresh.sensors.base import Identity


class Waiting(msgspec.Struct, frozen=True):
    """A path that is not known to be complete: what it was at the last look, and since when."""

    identity: Identity
    since: float
    due_at: float


class Settling:
    """Paths that wait until they have not changed for a while. Times are of one monotonic clock."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._due: list[tuple[float, str]] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __contains__(self, path: str) -> bool:
        """Say whether it waits."""
        return path in self._waiting

    def paths(self) -> list[str]:
        """All that wait."""
        return list(self._waiting)

    def look(
        self, path: str, identity: Identity, now: float, patience: float, stable_for: float = 0.0
    ) -> bool:
        """Note a look; True if it has been the same for `patience` seconds: it waits no more.

        `stable_for`: for how long it is known to have been as it is, from its own timestamps.
        """
        last = self._waiting.get(path)
        since = now - stable_for
        if last is not None and last.identity == identity:
            since = min(since, last.since)
        due_at = since + patience
        if due_at <= now:
            self._waiting.pop(path, None)
            return True
        self._waiting[path] = Waiting(identity, since, due_at)
        if last is None or last.due_at != due_at:
            heapq.heappush(self._due, (due_at, path))
        return False

    def forget(self, path: str) -> None:
        """Let it wait no more: it is complete, gone, or known."""
        self._waiting.pop(path, None)

    def due(self, now: float, limit: int) -> list[str]:
        """Give at most `limit` paths to look at again now; each once until its next look."""
        paths: list[str] = []
        while self._due and self._due[0][0] <= now and len(paths) < limit:
            due_at, path = heapq.heappop(self._due)
            waiting = self._waiting.get(path)
            if waiting is not None and waiting.due_at == due_at:
                paths.append(path)
        return paths

    def next_at(self) -> float | None:
        """When the next look is due; may be early (for a path that was forgotten), never late."""
        return self._due[0][0] if self._due else None
