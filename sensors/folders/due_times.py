"""When which folder is to be scanned, pure: each name once, the earliest first."""

import heapq


class DueTimes:
    """Names and their times, of one monotonic clock. Asking for the next costs nothing."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def put(self, name: str, at: float) -> None:
        """Let a name be due at this time, instead of any other."""
        if self._times.get(name) != at:
            self._times[name] = at
            heapq.heappush(self._heap, (at, name))

    def remove(self, name: str) -> None:
        """Let a name never be due."""
        self._times.pop(name, None)

    def take(self, now: float) -> list[str]:
        """Give the names that are due, by their times; none is due again until put."""
        due = []
        while (at := self.next_at()) is not None and at <= now:
            name = heapq.heappop(self._heap)[1]
            del self._times[name]
            due.append(name)
        return due

    def next_at(self) -> float | None:
        """When the next is due."""
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
