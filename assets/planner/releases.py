"""What lets units run that their policies leave behind: a tick or a request, until it is done."""

import msgspec

from afresh.assets.planner.changes import Ticked
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.growth import add_units
from afresh.assets.planner.nodes import NEVER, Node
from afresh.assets.planner.reasons import Why

OWED = "owed"
"""The kind of a tick that came while its unit was paused."""


class Releases:
    """What lets each unit run, and what is owed to those that are paused."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._released: dict[Node, Ticked] = {}
        self._owed: dict[Node, str] = {}
        self._log: list[tuple[Node, Ticked]] = []

    def let_run(self, node: Node, change: Ticked) -> bool:
        """Let a unit run as of an epoch. False if it does not exist yet."""
        if node.born == NEVER:
            if self._graph.absent(node):
                return False
            node.born, node.missing = change.epoch, ""
            add_units(self._graph, node, change.epoch)
        self._released[node] = change
        self._log.append((node, change))
        if not node.plan.inputs and change.kind == "tick":
            node.salt = str(change.seq)
        self._owed.pop(node, None)
        self._graph.refresh(node)
        return True

    def owe(self, node: Node, change: Ticked) -> None:
        """A tick came while a unit is paused: it counts when that is over."""
        self._owed[node] = change.detail
        self._log.append((node, msgspec.structs.replace(change, kind=OWED)))

    def take_owed(self, node: Node) -> str | None:
        """What a unit that is not paused any more is let run by; None if nothing came meanwhile."""
        return self._owed.pop(node, None)

    def cause(self, node: Node) -> Ticked | None:
        """What lets a unit run; None if nothing does."""
        return self._released.get(node)

    def explain(self, node: Node, why: Why) -> Why:
        """Name the tick that lets a unit run (P5)."""
        tick = self._released.get(node)
        if tick is None or why.kind == "request":
            return why
        return Why((tick.detail, *why.reasons), tick.kind, tick.seq, why.events)

    def fulfil(self, node: Node) -> bool:
        """A unit is settled by what let it run. False if nothing had, or if more is to come."""
        if node not in self._released or node.dirty:
            return False
        del self._released[node]
        return True

    def take_log(self) -> list[tuple[Node, Ticked]]:
        """Which units were let run since this was last asked, and by what."""
        log, self._log = self._log, []
        return log
