"""The cut that a node may run on: as of which epoch, which inputs, and whether to wait for more."""

from afresh.assets.planner.agenda import Agenda
from afresh.assets.planner.content import Content, Gone
from afresh.assets.planner.debts import Debts
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.ingests import Ingests
from afresh.assets.planner.nodes import Node, Pinned


class Cuts:
    """Finds cuts. Who has to wait watches for whom.

    Nobody waits longer than `max_wait_seconds` for changes that may come.
    """

    def __init__(
        self,
        graph: Graph,
        debts: Debts,
        ingests: Ingests,
        agenda: Agenda,
        max_wait_seconds: float,
    ) -> None:
        self.max_wait_seconds = max_wait_seconds
        self._graph = graph
        self._debts = debts
        self._ingests = ingests
        self._agenda = agenda

    def choose(self, node: Node, now: float) -> int | None:
        """The epoch at which the node may run now.

        None if it has to wait, and then it watches for whom.
        """
        owed = min(node.owes) if node.owes else None
        if node.target is not None and (owed is None or node.target < owed):
            owed = node.target
        if owed is not None:
            blocker = self._graph.first_unsettled(node, owed)
            if blocker is None:
                return owed
            node.watch([blocker])
            return None
        epoch, limits = self._graph.common_epoch(node, self._graph.epoch)
        node.watch(limits)
        if epoch >= node.dirty[0]:
            return epoch
        node.missing = self._graph.absent(node)
        if node.missing or not _is_join(node):
            return None
        until = self._wait_until(node, now)
        if now < until:
            if any(self.is_live(limit) for limit in limits):
                self._agenda.wake(node, until)
            return None
        debtors = self._debts.take(node, self._graph.epoch)
        if debtors is None:
            return None
        self._agenda.look_at_all(debtors)
        return self.choose(node, now)

    def collect(self, node: Node, epoch: int) -> tuple[Pinned, ...] | Gone | None:
        """All inputs as of one epoch (P3).

        DELETED where an own input is; None where something is absent or not settled.
        """
        node.missing = ""
        pinned: list[Pinned] = []
        deleted, missing = False, ""
        for edge in node.plan.inputs:
            parts: list[tuple[str, Content]] = []
            for unit in self._graph.producers(node, edge):
                states = unit.history.at(epoch)
                if states is None or states[edge.output] is Gone.HELD:
                    if unit.born > epoch:
                        continue
                    node.watch([unit])
                    return None
                state = states[edge.output]
                if isinstance(state, Content):
                    parts.append((unit.key, state))
                elif edge.own:
                    deleted = True
            if not parts and not missing:
                missing = edge.asset + (f"[{node.key}]" if edge.own and node.key else "")
            pinned.append(Pinned(edge, tuple(parts)))
        if deleted:
            return Gone.DELETED
        node.missing = missing
        return None if missing else tuple(pinned)

    def find_missing(self, node: Node, epoch: int) -> None:
        """Something that it needs was not there as of an epoch: a newer one may do."""
        if not node.missing:
            return
        node.missing_at = max(node.missing_at, epoch)
        self._agenda.look_at_all(self._debts.give_up(node))
        if epoch < self._graph.epoch:
            node.missing = ""
            newest, limits = self._graph.common_epoch(node, self._graph.epoch)
            node.watch(limits)
            if newest > epoch:
                self._agenda.look_at(node)

    def hold(self, node: Node, epoch: int, now: float) -> bool:
        """Coalescing: wait at most `max_wait` for known work that will change what it reads."""
        if node.requested or node.owes or node.target is not None:
            return False
        if node.plan.incremental:
            # Each row is read once, by whichever run takes it: nothing is saved by waiting.
            return False
        waits = self._ingests.pending_above(node) or (
            epoch < self._graph.epoch and any(self.is_live(unit) for unit in node.watching)
        )
        until = self._wait_until(node, now)
        if not waits or now >= until:
            return False
        self._agenda.held[node] = None
        self._agenda.wake(node, until)
        return True

    def is_live(self, node: Node) -> bool:
        """Whether work is under way that will settle a node.

        Not failed, blocked, paused or missing.
        """
        stack, seen = [node], {node}
        while stack:
            unit = stack.pop()
            if unit.running is not None or unit.queued or unit in self._agenda.held:
                return True
            if unit.plan.source is not None and unit.pending and not unit.paused:
                return True
            if unit.paused or unit.missing or not unit.dirty:
                continue
            if unit.wake_at is not None or not unit.watching:
                return True
            for upstream in unit.watching:
                if upstream not in seen:
                    seen.add(upstream)
                    stack.append(upstream)
        return False

    def _wait_until(self, node: Node, now: float) -> float:
        since = now if node.stale_since is None else node.stale_since
        return since + self.max_wait_seconds


def _is_join(node: Node) -> bool:
    """More than one input unit: it may have to wait for a common epoch."""
    inputs = node.plan.inputs
    return len(inputs) > 1 or any(not edge.own for edge in inputs)
