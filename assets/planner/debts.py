"""Targets and debts: how joins that read fast and slow branches still meet.

A stale join that found no common epoch for `max_wait` takes a target; the ancestors that are not
settled at it owe it: they do not pass it, and serve what they owe, oldest first. A debt belongs to
its joins and goes with the last of them.
"""

from collections import Counter

from afresh.assets.planner.content import Gone
from afresh.assets.planner.graph import Graph, settled
from afresh.assets.planner.nodes import Node

MOST_SHARED = 4
"""How many epochs that are owed already are tried before a new one is taken."""


class Debts:
    """Who owes which epoch to whom. `active` counts the joins of each target."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.active: Counter[int] = Counter()

    @property
    def epochs(self) -> set[int]:
        """The epochs at which nothing may be forgotten."""
        return set(self.active)

    def take(self, join: Node, newest: int) -> list[Node] | None:
        """Give a join a target that all can still meet, the newest if none is shared.

        Return who owes it now; None if nothing can be met.
        """
        shared = [epoch for epoch in sorted(self.active, reverse=True) if epoch >= join.dirty[0]]
        for epoch in [*shared[:MOST_SHARED], newest]:
            if epoch <= join.history.settled_at or epoch <= join.missing_at:
                continue
            debtors = self._find_debtors(join, epoch)
            if debtors is not None:
                self._owe(join, epoch, debtors)
                return debtors
        return None

    def _owe(self, join: Node, epoch: int, debtors: list[Node]) -> None:
        join.target = epoch
        join.debtors = tuple(debtors)
        join.outstanding = len(debtors)
        self.active[epoch] += 1
        for debtor in debtors:
            if debtor.owes is None:
                debtor.owes = {}
            debtor.owes.setdefault(epoch, {})[join] = None

    def pay(self, node: Node) -> list[Node]:
        """The node was settled: the joins that nobody owes anything to any more."""
        ready: list[Node] = []
        if node.owes is None:
            return ready
        for epoch in sorted(node.owes):
            if node.history.at(epoch) is None:
                continue
            for join in node.owes.pop(epoch):
                join.outstanding -= 1
                if not join.outstanding:
                    ready.append(join)
        node.owes = node.owes or None
        return ready

    def release(self, join: Node) -> list[Node]:
        """The join met its target or gave it up: those who owed it something, to look at again."""
        if join.target is None:
            return []
        freed = []
        for debtor in join.debtors:
            joins = debtor.owes.get(join.target) if debtor.owes is not None else None
            if debtor.owes is not None and joins is not None:
                joins.pop(join, None)
                if not joins:
                    del debtor.owes[join.target]
                    debtor.owes = debtor.owes or None
                    freed.append(debtor)
        self.active[join.target] -= 1
        if not self.active[join.target]:
            del self.active[join.target]
        join.target, join.debtors, join.outstanding = None, (), 0
        return freed

    def give_up(self, node: Node) -> list[Node]:
        """Drop the targets of all joins that a node owes: it cannot serve (failure, pause).

        Return whom to look at again.
        """
        joins = dict.fromkeys(join for owed in (node.owes or {}).values() for join in owed)
        freed = self.release(node)
        for join in joins:
            freed += self.release(join)
        return [*freed, *joins]

    def _find_debtors(self, join: Node, epoch: int) -> list[Node] | None:
        """All ancestors that are not settled at that epoch, None if one of them cannot meet it."""
        found: dict[Node, None] = {}
        stack = [join]
        while stack:
            reader = stack.pop()
            for edge in reader.plan.inputs:
                if edge.own:
                    own = self._graph.get(edge.producer, reader.key)
                    if own is None:
                        return None
                    inputs = [own]
                elif self._graph.newest_start(edge.asset) > epoch:
                    return None
                else:
                    inputs = list(self._graph.unsettled(reader, edge))
                for node in inputs:
                    if node in found or settled(node, edge.output, epoch):
                        continue
                    if node.born > epoch and not edge.own:
                        continue
                    if not _can_meet(node, epoch):
                        return None
                    found[node] = None
                    stack.append(node)
        return list(found)


def _can_meet(node: Node, epoch: int) -> bool:
    """Whether a node that is not settled at an epoch can still be."""
    if node.paused or node.missing or node.born > epoch or node.plan.source is not None:
        return False
    if epoch <= node.missing_at or (node.running is not None and node.running.epoch > epoch):
        return False
    intervals = node.history.intervals
    if intervals and intervals[-1].start > epoch:
        return False
    states = node.history.at(epoch)
    return states is None or Gone.HELD not in states
