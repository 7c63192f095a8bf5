"""The planner: what is stale, what may run, on which cut, and why.

A plain state machine (after h11). It is told of changes that are committed, and asked what to
start. No clock, no I/O, no async; the cost of a change is what it touches.
"""

from collections.abc import Iterable

from afresh.assets.planner.agenda import Agenda
from afresh.assets.planner.changes import Arrived, Commands, Ended, Paused, Requested, Ticked
from afresh.assets.planner.cut import Cuts
from afresh.assets.planner.debts import Debts
from afresh.assets.planner.ends import Ends
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.ingests import Ingests
from afresh.assets.planner.nodes import NEVER, Attempt, Node
from afresh.assets.planner.policies import Due, Policies
from afresh.assets.planner.requests import Requests
from afresh.assets.planner.settling import Settling
from afresh.assets.planner.staleness import Staleness
from afresh.assets.planner.topology import Plan, Topology

Change = Arrived | Ended | Requested | Paused | Ticked


class Planner:
    """The state of the graph. Times are given to it, in seconds."""

    def __init__(
        self, topology: Topology, *, max_wait_seconds: float = 1.0, epoch: int = 0
    ) -> None:
        self.topology = topology
        self.graph = Graph(topology, epoch)
        self.ingests = Ingests(self.graph)
        self.running: dict[Attempt, None] = {}
        self._agenda = Agenda()
        self._debts = Debts(self.graph)
        self._cuts = Cuts(self.graph, self._debts, self.ingests, self._agenda, max_wait_seconds)
        self.policies = Policies(self.graph, self._agenda, self._cuts)
        self._settling = Settling(self.graph, self._debts, self._agenda, self._cuts, self.policies)
        self._staleness = Staleness(self.graph, self._agenda, self.policies)
        parts = (self.graph, self._debts, self._agenda, self.ingests, self.policies)
        self._ends = Ends(*parts, settling=self._settling, staleness=self._staleness)
        self._requests = Requests(*parts)
        self._prefer_ingest = True
        for plan in topology.plans.values():
            if plan.function is not None and not plan.partitioned:
                node = self.graph.add(Node(plan, "", NEVER if plan.root else 1))
                self.graph.refresh(node)

    @property
    def epoch(self) -> int:
        """The newest epoch that was committed."""
        return self.graph.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.graph.epoch = epoch

    @property
    def max_wait_seconds(self) -> float:
        """The longest that a unit waits for more changes, and a join for a common epoch."""
        return self._cuts.max_wait_seconds

    @max_wait_seconds.setter
    def max_wait_seconds(self, seconds: float) -> None:
        self._cuts.max_wait_seconds = seconds

    # What it is told

    def step(self, changes: Iterable[Change], now: float) -> Commands:
        """Take in changes that are committed; return what is to be recorded of them."""
        self._settling.take_commands()
        self.ingests.refill(now)
        for change in changes:
            match change:
                case Arrived():
                    self.ingests.arrive(change)
                case Ended():
                    self.running.pop(change.attempt, None)
                    self._ends.end(change, now)
                case Requested():
                    self._request(change, now)
                case Paused():
                    self._requests.pause(change)
                case Ticked():
                    self._tick(change, now)
        for node in self.ingests.halts.take_due(now):
            self.ingests.resume(node)
        self.ingests.let_go(self.running)
        for node in self._agenda.take_woken(now):
            if node.plan.source is not None:
                self.ingests.resume(node)
            self._agenda.look_at(node)
        self._settling.work(now)
        return self._settling.commands

    def next_wake(self) -> float | None:
        """When a step is due though nothing changed."""
        wakes = (
            self._agenda.next_wake(),
            self.policies.next_at(),
            self.ingests.budgets.next_at(),
            self.ingests.halts.next_at(),
        )
        return min((at for at in wakes if at is not None), default=None)

    def find_due(self, now: float) -> list[Due]:
        """The ticks of refresh policies that are to be recorded, and told of as `Ticked`."""
        return self.policies.find_due(now)

    @property
    def idle(self) -> bool:
        """Nothing is running, waiting for its time or for a place to run.

        What a policy leaves behind waits for nothing: it may be for ever. So may what halted.
        """
        waits = self._agenda.ready or self._agenda.looks or self.ingests.queued
        waits = waits or self.policies.waiting or bool(self.ingests.budgets.waiting())
        waits = waits or len(self.ingests.outside)
        return not (self.running or waits or self._agenda.next_wake() is not None)

    def is_live(self, node: Node) -> bool:
        """Whether work is under way that will settle a node."""
        return self._cuts.is_live(node)

    # What it asks for

    def start(self, free: int, now: float) -> list[Attempt]:
        """Up to `free` attempts to start now, ingests and runs in turn, the oldest first."""
        attempts: list[Attempt] = []
        while len(attempts) < free:
            self._settling.work(now)
            self.ingests.let_go(self.running)
            if not (self._agenda.ready or self.ingests.queued):
                break
            self._prefer_ingest = not self._prefer_ingest
            if self.ingests.queued and (self._prefer_ingest or not self._agenda.ready):
                attempt = self.ingests.start(now, self.running)
            else:
                attempt = self._settling.start(now)
            if attempt is not None:
                self.running[attempt] = None
                attempts.append(attempt)
        return attempts

    def take_requests(self, old: "Planner") -> None:
        """Have what was asked for under older definitions wait on: the ledger does not have it."""
        self._requests.take_over(old.graph)

    def adopt(self, attempt: Attempt) -> bool:
        """Let an attempt that began under older definitions end in this planner.

        False if its unit is gone, or is to be made of other things than this attempt gives.
        """
        plan = self.topology.plans.get(attempt.node.plan.name)
        node = self.graph.get(plan, attempt.node.key) if plan is not None else None
        if plan is None or node is None:
            return False
        if _shape(plan) != _shape(attempt.node.plan):
            # It was asked for, and nothing else would bring it about.
            node.forced = attempt.forced and plan.function is not None
            return False
        attempt.node, node.running = node, attempt
        self.running[attempt] = None
        node.pending = [
            (seq, kind) for seq, kind in node.pending or () if seq not in attempt.events
        ] or None
        if node.plan.root:
            self._adopt_root(node, attempt)
        return True

    def _adopt_root(self, node: Node, attempt: Attempt) -> None:
        """What let it run holds on; from its epoch on the unit is not known before it ends."""
        tick, (kind, event) = self.policies.releases.cause(node), attempt.cause
        if tick is None or tick.seq == event:
            tick = Ticked(attempt.epoch, event or 0, node.plan.name, (node.key,), kind, kind=kind)
            if not self.policies.let_run(node, tick):
                return
            # It is kept already.
            self.policies.releases.take_log()
            node.dirty = ()
        node.history.close(attempt.epoch)
        node.dirty = (attempt.epoch, *node.dirty)
        self.graph.refresh(node)

    def take_commands(self) -> Commands:
        """What is to be recorded of the last step, and of looking once more at what it started."""
        return self._settling.take_commands()

    # Changes

    def reach(
        self, nodes: Iterable[Node], epoch: int, now: float, since: float | None = None
    ) -> None:
        """Mark these nodes and all that read them: a change at `epoch` may reach them.

        `since` is when the first change below was made that comes up only now.
        """
        self._staleness.reach(nodes, epoch, now, since)

    def _request(self, change: Requested, now: float) -> None:
        self.reach(self._requests.request(change), change.epoch, now)
        self._settling.commands.released += self.policies.releases.take_log()

    def _tick(self, change: Ticked, now: float) -> None:
        nodes, since = self.policies.tick(change)
        if nodes:
            self.reach(nodes, change.epoch, now, since)
        self._settling.commands.released += self.policies.releases.take_log()


def _shape(plan: Plan) -> tuple[object, ...]:
    """What an attempt's result is taken for: a file's data, rows to append, whole outputs."""
    new = frozenset((edge.parameter, edge.asset) for edge in plan.inputs if edge.new)
    return plan.assets, plan.source is None, plan.stream, plan.incremental, new
