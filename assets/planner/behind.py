"""What policies leave behind: since when, and which inputs are new to each unit."""

from collections.abc import Iterable

from msgspec import Struct, field

from afresh.assets.planner.content import Content, Gone
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.nodes import Node, Pinned
from afresh.assets.planner.topology import Edge

MOST_CHANGES = 256
"""Of a unit that is behind for long, no more changes than this are told apart."""
Consumed = dict[str, dict[str, int]]
"""Of each parameter the versions by key."""


class Behind(Struct, eq=False):
    """The changes that reached a unit and that it was not settled at: (epoch, since when)."""

    changes: list[tuple[int, float]] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Of the newest one."""
        return self.changes[-1][0]

    @property
    def since(self) -> float:
        """Of the oldest one."""
        return self.changes[0][1]

    def add(self, epoch: int, since: float) -> None:
        """Note a change. One that is forgotten makes the next one older: never too late."""
        if self.changes and self.changes[-1][0] >= epoch:
            last, at = self.changes[-1]
            self.changes[-1] = (last, min(at, since))
            return
        self.changes.append((epoch, since))
        if len(self.changes) > MOST_CHANGES:
            middle = len(self.changes) // 2
            del self.changes[middle]
            later, at = self.changes[middle]
            self.changes[middle] = (later, min(at, self.changes[middle - 1][1]))

    def drop(self, epoch: int) -> bool:
        """It is settled at that epoch. True if nothing newer is left."""
        self.changes = [each for each in self.changes if each[0] > epoch]
        return not self.changes


class News:
    """Which inputs have versions that a unit's last run did not read; told, not searched for."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._consumed: dict[Node, Consumed] = {}
        self._new: dict[Node, set[str]] = {}

    def of(self, node: Node) -> set[str]:
        """Name the parameters that have news for a unit."""
        return self._new[node] if node in self._new else self.find(node)

    def find(self, node: Node) -> set[str]:
        """Name them as they are now: looks at every unit that the unit reads."""
        found = {edge.parameter for edge in node.plan.inputs if self._differs(node, edge)}
        self._new[node] = found
        return found

    def consume(self, node: Node, pinned: Iterable[Pinned]) -> None:
        """A run of the unit read this; what came since is new."""
        self.restore(
            node,
            {
                item.edge.parameter: {key: part.version for key, part in item.parts}
                for item in pinned
            },
        )

    def restore(self, node: Node, consumed: Consumed) -> None:
        """The last run of the unit read these versions."""
        self._consumed[node] = consumed
        self._new.pop(node, None)

    def forget(self, node: Node) -> None:
        """Nobody asks for the news of a unit."""
        self._consumed.pop(node, None)
        self._new.pop(node, None)

    def move(self, reader: Node, edge: Edge, unit: Node) -> None:
        """A unit that a reader reads has moved, perhaps to another version."""
        if reader in self._new and self._is_new(reader, edge, unit):
            self._new[reader].add(edge.parameter)

    def times(self, node: Node) -> list[float]:
        """When the versions were made that the unit's last run did not read."""
        found: list[float] = []
        for edge in node.plan.inputs:
            consumed = self._consumed.get(node, {}).get(edge.parameter, {})
            for unit in self._graph.producers(node, edge):
                last = consumed.get(unit.key, 0)
                found += [
                    part.created_at
                    for _, part in unit.by_fingerprint[edge.output].items()
                    if part.version > last
                ]
                head = unit.heads[edge.output]
                if head is not None and head.span is not None and head.version > last:
                    found.append(head.created_at)
        return found

    def _differs(self, node: Node, edge: Edge) -> bool:
        consumed = self._consumed.get(node, {}).get(edge.parameter, {})
        seen = 0
        for unit in self._graph.producers(node, edge):
            if self._is_new(node, edge, unit):
                return True
            seen += unit.key in consumed
        return seen < len(consumed)

    def _is_new(self, reader: Node, edge: Edge, unit: Node) -> bool:
        states = unit.history.latest
        if states is None:
            return False
        state = states[edge.output]
        if state is Gone.HELD:
            return False
        version = state.version if isinstance(state, Content) else None
        consumed = self._consumed.get(reader, {}).get(edge.parameter, {})
        return consumed.get(unit.key) != version
