"""The planner: what is stale, what may run, on which cut, and why.

A plain state machine (after h11). It is told of changes that are committed, and asked what to
start. No clock, no I/O, no async; the cost of a change is what it touches.
"""

from collections.abc import Iterable

from afresh.assets.planner.agenda import Agenda
from afresh.assets.planner.changes import Arrived, Commands, Ended, Paused, Requested, Ticked
from afresh.assets.planner.content import OPEN, Content, Gone, State
from afresh.assets.planner.cut import Cuts
from afresh.assets.planner.debts import Debts
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.growth import add_units
from afresh.assets.planner.ingests import Ingests
from afresh.assets.planner.nodes import NEVER, Attempt, Node, Trouble
from afresh.assets.planner.policies import Due, Policies
from afresh.assets.planner.settling import Settling
from afresh.assets.planner.slim import Slim
from afresh.assets.planner.streams import marks_after
from afresh.assets.planner.topology import Topology

Change = Arrived | Ended | Requested | Paused | Ticked
HALTED_SECONDS = 10.0
"""A stream that could not be read is tried again when something arrives, after so long."""


class Planner:
    """The state of the graph.

    Times are given, in seconds.
    """

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
                    self._arrive(change, now)
                case Ended():
                    self._end(change, now)
                case Requested():
                    self._request(change, now)
                case Paused():
                    self._pause(change)
                case Ticked():
                    self._tick(change, now)
        for node in self._agenda.take_woken(now):
            if node.plan.source is not None:
                self.ingests.resume(node)
            self._agenda.look_at(node)
        self._settling.work(now)
        return self._settling.commands

    def next_wake(self) -> float | None:
        """When a step is due though nothing changed."""
        wakes = (self._agenda.next_wake(), self.policies.next_at(), self.ingests.budgets.next_at())
        return min((at for at in wakes if at is not None), default=None)

    def find_due(self, now: float) -> list[Due]:
        """The ticks of refresh policies that are to be recorded, and told of as `Ticked`."""
        return self.policies.find_due(now)

    @property
    def idle(self) -> bool:
        """Nothing is running, waiting for its time or for a place to run.

        What a policy leaves behind waits for nothing: it may be for ever.
        """
        waits = self._agenda.ready or self._agenda.looks or self.ingests.queued
        waits = waits or self.policies.waiting or bool(self.ingests.budgets.waiting())
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
            if not (self._agenda.ready or self.ingests.queued):
                break
            self._prefer_ingest = not self._prefer_ingest
            if self.ingests.queued and (self._prefer_ingest or not self._agenda.ready):
                attempt = self.ingests.start(now)
            else:
                attempt = self._settling.start(now)
            if attempt is not None:
                self.running[attempt] = None
                attempts.append(attempt)
        return attempts

    def adopt(self, attempt: Attempt) -> bool:
        """Let an attempt that began under older definitions end in this planner.

        False if its unit is gone.
        """
        plan = self.topology.plans.get(attempt.node.plan.name)
        if plan is None or plan.assets != attempt.node.plan.assets:
            return False
        node = self.graph.get(plan, attempt.node.key)
        if node is None:
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
        tick, (kind, event) = self.policies.cause(node), attempt.cause
        if tick is None or tick.seq == event:
            tick = Ticked(attempt.epoch, event or 0, node.plan.name, (node.key,), kind, kind=kind)
            if not self.policies.let_run(node, tick):
                return
            # It is kept already.
            self.policies.take_log()
            node.dirty = ()
        node.history.close(attempt.epoch)
        node.dirty = (attempt.epoch, *node.dirty)
        self.graph.refresh(node)

    def take_commands(self) -> Commands:
        """What looking once more at the start asked to be recorded since the last step."""
        return self._settling.take_commands()

    # Changes

    def _arrive(self, change: Arrived, now: float) -> None:
        node = self.ingests.arrive(change)
        if self.ingests.is_halted(node) and node.wake_at is None:
            # What could not be read is the first thing to read: not more often than this.
            self._agenda.wake(node, now + HALTED_SECONDS)

    def _end(self, change: Ended, now: float) -> None:
        node = change.attempt.node
        self.running.pop(change.attempt, None)
        node.running = None
        self.epoch = max(self.epoch, change.epoch)
        if node.plan.source is not None:
            self._end_ingest(change, now)
            return
        if change.retry_at is not None:
            node.trouble = _trouble(change, change.attempt.run_key)
            # To read from the start was asked for, and nothing else would bring it about.
            node.forced = node.forced or (change.attempt.forced and node.plan.incremental)
            self._agenda.wake(node, change.retry_at)
        else:
            self._end_run(change, now)
        node.updated_at = now
        self._agenda.look_at(node)

    def _end_run(self, change: Ended, now: float) -> None:
        """A run ended for good: its outcome is known from now on."""
        attempt, node = change.attempt, change.attempt.node
        states = change.states or tuple(Gone.HELD for _ in node.plan.assets)
        failed = tuple(i for i, state in enumerate(states) if state is Gone.HELD)
        if failed:
            # The ledger remembers the last failed run key of a unit, and so do we.
            node.forget_failures()
        node.known[attempt.run_key] = states
        if failed:
            node.trouble = _trouble(change, attempt.run_key, failed)
            node.failures = {attempt.run_key: node.trouble}
            self._settling.commands.troubled.append(node)
        if node.plan.incremental and not failed:
            # What was read is behind the mark: this run key never comes again.
            del node.known[attempt.run_key]
            node.marks = marks_after(attempt)
        if change.states is not None:
            node.last_read = Slim(
                (item.edge.parameter, tuple((key, part.version) for key, part in item.parts))
                for item in attempt.pinned
            )
            if not failed:
                self.policies.consume(node, attempt.pinned)
            self.policies.goals.note(node.plan, now - attempt.started_at)
        self._settling.settle(node, attempt.epoch, states)

    def _end_ingest(self, change: Ended, now: float) -> None:
        node = change.attempt.node
        if change.states is None:
            self._fail_ingest(change, now)
        else:
            self.ingests.forget(change.attempt)
            if node.plan.stream:
                # What halted it is read: what came behind need not wait for another try.
                node.wake_at = None
            node.deleted = change.attempt.kind == "delete"
            if node.trouble is not None:
                node.trouble = None
                self._settling.commands.recovered.append(node)
            mended = change.attempt.forced and node.mend(change.states)
            if change.states and change.states != node.history.latest and not mended:
                self._change_source(node, change.epoch, change.states, now)
        node.updated_at = now
        halted = node.plan.stream and change.states is None and change.retry_at is None
        if self.ingests.ended(node, halted=halted):
            self._agenda.look_at_all(self._agenda.held)

    def _fail_ingest(self, change: Ended, now: float) -> None:
        node = change.attempt.node
        node.trouble = _trouble(change, "")
        if change.retry_at is not None or node.plan.stream:
            self.ingests.retry(change.attempt)
            node.forced = node.forced or change.attempt.forced
        if change.retry_at is not None:
            self._agenda.wake(node, change.retry_at)
            return
        self._settling.commands.troubled.append(node)
        source = node.plan.source
        held: tuple[State, ...] = (Gone.HELD,)
        holds = source is not None and source.on_reject == "hold" and node.born != NEVER
        if holds and node.history.latest != held:
            self._change_source(node, change.epoch, held, now)

    def _change_source(self, node: Node, epoch: int, states: tuple[State, ...], now: float) -> None:
        """A source's unit is something else from this epoch on: mark what can be reached."""
        node.history.close(epoch)
        node.history.settle(epoch, OPEN, states, self._debts.epochs)
        node.epoch = epoch
        if isinstance(states[0], Content):
            node.heads[0] = states[0]
            if states[0].span is None:
                node.by_fingerprint[0][states[0].fingerprint] = states[0]
        if node.born == NEVER:
            node.born = epoch
            add_units(self.graph, node, epoch)
        self.graph.refresh(node)
        self.policies.moved(node)
        self.reach(self.graph.readers(node), epoch, now)

    def reach(
        self, nodes: Iterable[Node], epoch: int, now: float, since: float | None = None
    ) -> None:
        """Mark these nodes and all that read them: a change at `epoch` may reach them.

        `since` is when the first change below was made that comes up only now.
        """
        self.epoch = max(self.epoch, epoch)
        since = now if since is None else since
        stack = list(nodes)
        while stack:
            node = stack.pop()
            if node.plan.policed and self.policies.defers(node, epoch, now, since):
                self._agenda.look_at(node)
                continue
            if not node.mark(epoch):
                self._agenda.look_at(node)
                continue
            if node.stale_since is None:
                node.stale_since = now
            self.graph.refresh(node)
            self._agenda.look_at(node)
            stack.extend(self.graph.readers(node))

    def _tick(self, change: Ticked, now: float) -> None:
        nodes, since = self.policies.tick(change)
        if nodes:
            self.reach(nodes, change.epoch, now, since)
        self._settling.commands.released += self.policies.take_log()

    def _request(self, change: Requested, now: float) -> None:
        self.epoch = max(self.epoch, change.epoch)
        found: list[Node] = []
        for asset, key in change.units:
            plan, _ = self.topology.assets[asset]
            node = self.graph.get(plan, key)
            if node is not None:
                node.forced = node.forced or (
                    change.force and (plan.function is not None or not plan.stream)
                )
                found.append(node)
                if self.ingests.is_halted(node):
                    self.ingests.resume(node)
        asked = Ticked(change.epoch, change.event, "", (), "requested by hand", kind="request")
        found += self.policies.ask(found, asked)
        marks: list[Node] = []
        stack, seen = list(dict.fromkeys(found)), set(found)
        while stack:
            node = stack.pop()
            if node.plan.source is not None:
                continue
            if node.plan.root and self.policies.cause(node) is None:
                continue
            node.requested, node.requested_event = True, change.event
            node.requested_epoch = change.epoch
            node.forget_failures()
            node.trouble = None
            marks.append(node)
            for edge in node.plan.inputs:
                for upstream in self.graph.unsettled(node, edge):
                    if upstream not in seen:
                        seen.add(upstream)
                        stack.append(upstream)
        self.reach(marks, change.epoch, now)
        self._settling.commands.released += self.policies.take_log()

    def _pause(self, change: Paused) -> None:
        for asset, key in change.units:
            plan, _ = self.topology.assets[asset]
            nodes = self.graph.nodes[plan.name]
            if not change.on:
                self.graph.stopped.pop(plan.name, None)
            if key == "*":
                (self.graph.paused.add if change.on else self.graph.paused.discard)(asset)
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
            (self.ingests.pause if on else self.ingests.resume)(node)
            self._agenda.look_at_all(self._agenda.held)
        self._agenda.look_at(node)
        self._agenda.look_at_all(node.watchers or ())


def _trouble(change: Ended, run_key: str, outputs: tuple[int, ...] = ()) -> Trouble:
    attempt, retry_at = change.attempt, change.retry_at
    return Trouble(
        run_key,
        attempt.number,
        change.kind,
        change.error,
        attempt.run,
        final=retry_at is None,
        retry_at=retry_at,
        outputs=outputs,
    )
