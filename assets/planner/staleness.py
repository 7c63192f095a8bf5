"""What a change makes possibly stale: all that can be reached from it."""

from collections.abc import Iterable

from afresh.assets.planner.agenda import Agenda
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.nodes import Node
from afresh.assets.planner.policies import Policies


class Staleness:
    """Marks nodes as possibly stale, and puts them on the agenda."""

    def __init__(self, graph: Graph, agenda: Agenda, policies: Policies) -> None:
        self._graph = graph
        self._agenda = agenda
        self._policies = policies

    def reach(
        self, nodes: Iterable[Node], epoch: int, now: float, since: float | None = None
    ) -> None:
        """Mark these nodes and all that read them: a change at `epoch` may reach them.

        `since` is when the first change below was made that comes up only now.
        """
        self._graph.epoch = max(self._graph.epoch, epoch)
        since = now if since is None else since
        stack = list(nodes)
        met: set[Node] = set()
        while stack:
            node = stack.pop()
            if node.plan.policed:
                # By however many ways it is reached, it is one change.
                if node in met:
                    continue
                met.add(node)
                if self._policies.defers(node, epoch, now, since):
                    self._agenda.look_at(node)
                    continue
            if not node.mark(epoch):
                self._agenda.look_at(node)
                continue
            if node.stale_since is None:
                node.stale_since = now
            self._graph.refresh(node)
            self._agenda.look_at(node)
            stack.extend(self._graph.readers(node))
