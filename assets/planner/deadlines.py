"""When units have to start: each once, at the earliest time that was noted for it."""

from collections.abc import Iterator
from heapq import heappop, heappush

from afresh.assets.planner.nodes import NEVER, Node


class Deadlines:
    """The times, soonest first. One that is noted stays until it has come."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Node]] = []
        self._at: dict[Node, float] = {}
        self._pushed = 0

    def put(self, node: Node, at: float) -> None:
        """A unit has to start at that time, unless it has to before."""
        if at < self._at.get(node, NEVER):
            self._at[node] = at
            self._pushed += 1
            heappush(self._heap, (at, self._pushed, node))

    def take_due(self, now: float) -> Iterator[Node]:
        """Take those whose time has come."""
        while self._heap and self._heap[0][0] <= now:
            at, _, node = heappop(self._heap)
            if self._at.get(node) == at:
                del self._at[node]
                yield node

    def next_at(self) -> float | None:
        """The first of these times."""
        return self._heap[0][0] if self._heap else None
