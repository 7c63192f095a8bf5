"""Whom to look at: at once and upstream first, at a time, or when there is a place to run."""

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from afresh.assets.planner.nodes import Node


class Agenda:
    """Nodes in their order. `held` are those that wait for more changes before they run."""

    def __init__(self) -> None:
        self.held: dict[Node, None] = {}
        self._looks: list[tuple[int, int, Node]] = []
        self._to_look_at: set[Node] = set()
        self._wakes: list[tuple[float, int, Node]] = []
        self._ready: deque[Node] = deque()
        self._pushed = 0

    @property
    def looks(self) -> int:
        """How many nodes are to be looked at."""
        return len(self._looks)

    @property
    def ready(self) -> int:
        """How many nodes wait for a place to run."""
        return len(self._ready)

    # To look at now

    def look_at(self, node: Node) -> None:
        """Note that a node may have to do something."""
        if node in self._to_look_at:
            return
        self._to_look_at.add(node)
        self._pushed += 1
        heappush(self._looks, (node.plan.rank, self._pushed, node))

    def look_at_all(self, nodes: Iterable[Node]) -> None:
        """Note that these nodes may have to do something."""
        for node in list(nodes):
            self.look_at(node)

    def take_looks(self) -> Iterator[Node]:
        """Take one node after the other, upstream first, those that are noted meanwhile too."""
        while self._looks:
            _, _, node = heappop(self._looks)
            self._to_look_at.discard(node)
            yield node

    # To look at later

    def wake(self, node: Node, at: float) -> None:
        """Look at a node at that time, unless it is looked at before."""
        if node.wake_at is None or at < node.wake_at:
            node.wake_at = at
            self._pushed += 1
            heappush(self._wakes, (at, self._pushed, node))

    def take_woken(self, now: float) -> Iterator[Node]:
        """Take the nodes whose time has come."""
        while self._wakes and self._wakes[0][0] <= now:
            at, _, node = heappop(self._wakes)
            if node.wake_at == at:
                node.wake_at = None
                yield node

    def next_wake(self) -> float | None:
        """The first time that a node waits for."""
        while self._wakes and self._wakes[0][2].wake_at != self._wakes[0][0]:
            heappop(self._wakes)
        return self._wakes[0][0] if self._wakes else None

    # To run

    def queue(self, node: Node) -> None:
        """Let a node run when there is a place, after those that came before."""
        node.queued = True
        self._ready.append(node)

    def take_ready(self) -> Node:
        """Take the node that waits longest. Raises IndexError if none is ready."""
        node = self._ready.popleft()
        node.queued = False
        return node

    def drop(self, node: Node) -> None:
        """Neither run a node nor hold it."""
        if node.queued and node.plan.function is not None:
            node.queued = False
            self._ready.remove(node)
        self.held.pop(node, None)
