"""What people ask for by hand: units at once, and pauses of automation."""

from collections.abc import Collection, Iterable, Sequence

from afresh.assets.planner.agenda import Agenda
from afresh.assets.planner.changes import Paused, Requested, Ticked
from afresh.assets.planner.debts import Debts
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.ingests import Ingests
from afresh.assets.planner.nodes import NEVER, Node
from afresh.assets.planner.policies import Policies
from afresh.assets.planner.topology import Plan

Wanted = dict[Plan, dict[str | None, None]]
"""Of each plan the keys of its units; None stands for all of them."""


class Requests:
    """Takes in requests and pauses."""

    def __init__(
        self, graph: Graph, debts: Debts, agenda: Agenda, ingests: Ingests, policies: Policies
    ) -> None:
        self._graph = graph
        self._debts = debts
        self._agenda = agenda
        self._ingests = ingests
        self._policies = policies

    def request(self, change: Requested) -> list[Node]:
        """Note what was asked for; what is to run for it, all that it needs from above included."""
        found: list[Node] = []
        for asset, key in change.units:
            # Asked for under definitions that had it.
            plan, _ = self._graph.topology.assets.get(asset, (None, 0))
            node = self._graph.get(plan, key) if plan is not None else None
            if plan is not None and node is not None:
                node.forced = node.forced or (
                    change.force and (plan.function is not None or not plan.stream)
                )
                found.append(node)
                if self._ingests.is_halted(node):
                    self._ingests.resume(node)
        asked = Ticked(change.epoch, change.event, "", (), "requested by hand", kind="request")
        found += self._let_run(found, asked)
        marks: list[Node] = []
        stack, seen = list(dict.fromkeys(found)), set(found)
        while stack:
            node = stack.pop()
            if node.plan.source is not None:
                continue
            if node.plan.root and self._policies.releases.cause(node) is None:
                continue
            node.requested, node.requested_event = True, change.event
            node.requested_epoch = change.epoch
            node.forget_failures()
            node.trouble = None
            marks.append(node)
            for edge in node.plan.inputs:
                for upstream in self._graph.unsettled(node, edge):
                    if upstream not in seen and not upstream.plan.suspended:
                        seen.add(upstream)
                        stack.append(upstream)
        return marks

    def take_over(self, old: Graph) -> None:
        """Have what was asked for under other definitions, and is not made yet, wait on."""
        for nodes in old.nodes.values():
            for was in nodes.values():
                if was.requested or was.forced:
                    self._take_over(was)

    def _take_over(self, was: Node) -> None:
        plan, _ = self._graph.topology.assets.get(was.plan.assets[0], (None, 0))
        node = self._graph.get(plan, was.key) if plan is not None else None
        if plan is None or node is None:
            return
        node.forced = was.forced and (plan.function is not None or not plan.stream)
        if was.requested and plan.function is not None:
            node.requested, node.requested_event = True, was.requested_event
            node.requested_epoch = was.requested_epoch
            node.forget_failures()
            node.trouble = None

    def _let_run(self, nodes: Sequence[Node], change: Ticked) -> list[Node]:
        """Let these units run whatever their policies say, and what is left behind above them.

        Upstream first, since some exist only when what they are named after does.
        """
        wanted = _above(nodes)
        named = {node for node in nodes if node.plan.root}
        found: list[Node] = []
        touched: set[Plan] = set()
        for plan in sorted(wanted, key=lambda each: each.rank):
            above = not touched.isdisjoint(edge.producer for edge in plan.inputs)
            if above:
                touched.add(plan)
            for node in self._units(plan, wanted[plan]) if plan.root else ():
                behind = self._policies.behind(node) is not None
                needed = node in named or above or behind or node.born == NEVER
                if needed and self._policies.let_run(node, change):
                    touched.add(plan)
                    found.append(node)
        return found

    def _units(self, plan: Plan, keys: Collection[str | None]) -> list[Node]:
        if None in keys:
            return list(self._graph.nodes[plan.name].values())
        units = (self._graph.get(plan, key) for key in keys if key is not None)
        return [node for node in units if node is not None]

    def pause(self, change: Paused) -> None:
        """Stop or start automation of units."""
        for asset, key in change.units:
            plan, _ = self._graph.topology.assets.get(asset, (None, 0))
            if plan is None:
                continue
            nodes = self._graph.nodes[plan.name]
            if not change.on:
                self._graph.stopped.pop(plan.name, None)
            if key == "*":
                (self._graph.paused.add if change.on else self._graph.paused.discard)(asset)
            for node in list(nodes.values()) if key == "*" else filter(None, [nodes.get(key)]):
                if node.paused is not change.on:
                    self._pause_node(node, on=change.on)

    def _pause_node(self, node: Node, *, on: bool) -> None:
        if node.plan.suspended:
            return
        node.paused = on
        if on:
            self._agenda.look_at_all(self._debts.give_up(node))
            self._agenda.drop(node)
        if node.plan.source is not None:
            (self._ingests.pause if on else self._ingests.resume)(node)
            self._agenda.look_at_all(self._agenda.held)
        self._agenda.look_at(node)
        self._agenda.look_at_all(node.watchers or ())


def _above(nodes: Iterable[Node]) -> Wanted:
    """These units and all that they read, directly or not, but for sources."""
    wanted: Wanted = {}
    stack: list[tuple[Plan, str | None]] = [(node.plan, node.key) for node in nodes]
    while stack:
        plan, key = stack.pop()
        if key in wanted.setdefault(plan, {}):
            continue
        wanted[plan][key] = None
        stack += [
            (edge.producer, key if edge.own else None)
            for edge in plan.inputs
            if edge.producer.function is not None
        ]
    return wanted
