"""The planner: what is stale, what may run, on which cut, and why.

A plain state machine (after h11). It is told of changes that are committed, and asked what to
start. No clock, no I/O, no async; the cost of a change is what it touches.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush

from afresh.assets.planner.changes import Arrived, Commands, Ended, Paused, Requested, Settled
from afresh.assets.planner.content import OPEN, Content, Gone, State
from afresh.assets.planner.debts import Debts
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.growth import add_units
from afresh.assets.planner.ingests import Ingests
from afresh.assets.planner.nodes import NEVER, Attempt, Node, Pinned, Prepared, Trouble
from afresh.assets.planner.reasons import explain
from afresh.assets.planner.runkey import run_key
from afresh.assets.planner.topology import Topology

Change = Arrived | Ended | Requested | Paused


class Planner:
    """The state of the graph. `epoch` is the newest one that was committed.

    Times are given, in seconds.
    """

    def __init__(
        self, topology: Topology, *, max_wait_seconds: float = 1.0, epoch: int = 0
    ) -> None:
        self.topology = topology
        self.epoch = epoch
        self.max_wait_seconds = max_wait_seconds
        self.graph = Graph(topology)
        self.debts = Debts(self.graph)
        self.ingests = Ingests(self.graph)
        self.running: dict[Attempt, None] = {}
        self._ready: deque[Node] = deque()
        self._held: dict[Node, None] = {}
        self._agenda: list[tuple[int, int, Node]] = []
        self._on_agenda: set[Node] = set()
        self._wakes: list[tuple[float, int, Node]] = []
        self._pushed = 0
        self._prefer_ingest = True
        self.commands = Commands()
        for plan in topology.plans.values():
            if plan.function is not None and not plan.partitioned:
                node = self.graph.add(Node(plan, "", 1))
                self.graph.refresh(node)

    # What it is told

    def step(self, changes: Iterable[Change], now: float) -> Commands:
        """Take in changes that are committed; return what is to be recorded of them."""
        self.commands = Commands()
        for change in changes:
            match change:
                case Arrived():
                    self.ingests.arrive(change)
                case Ended():
                    self._end(change, now)
                case Requested():
                    self._request(change, now)
                case Paused():
                    self._pause(change)
        while self._wakes and self._wakes[0][0] <= now:
            at, _, node = heappop(self._wakes)
            if node.wake_at == at:
                node.wake_at = None
                if node.plan.source is not None:
                    self.ingests.resume(node)
                self._look_at(node)
        self._work(now)
        return self.commands

    def next_wake(self) -> float | None:
        """When a step is due though nothing changed."""
        while self._wakes and self._wakes[0][2].wake_at != self._wakes[0][0]:
            heappop(self._wakes)
        return self._wakes[0][0] if self._wakes else None

    @property
    def idle(self) -> bool:
        """Nothing is running, waiting for its time or for a place to run."""
        waits = self._ready or self._agenda or self.ingests.queued
        return not (self.running or waits or self.next_wake() is not None)

    # What it asks for

    def start(self, free: int, now: float) -> list[Attempt]:
        """Up to `free` attempts to start now, ingests and runs in turn, the oldest first."""
        attempts: list[Attempt] = []
        while len(attempts) < free:
            if self._agenda:
                self._work(now)
            if not (self._ready or self.ingests.queued):
                break
            self._prefer_ingest = not self._prefer_ingest
            if self.ingests.queued and (self._prefer_ingest or not self._ready):
                attempt = self.ingests.start()
            else:
                attempt = self._start_run(now)
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
        node.pending = [(seq, kind) for seq, kind in node.pending if seq not in attempt.events]
        return True

    def take_commands(self) -> Commands:
        """What looking once more at the start asked to be recorded since the last step."""
        commands, self.commands = self.commands, Commands()
        return commands

    # Changes

    def _end(self, change: Ended, now: float) -> None:
        attempt, node = change.attempt, change.attempt.node
        self.running.pop(attempt, None)
        node.running = None
        self.epoch = max(self.epoch, change.epoch)
        if node.plan.source is not None:
            self._end_ingest(change, now)
            return
        if change.retry_at is not None:
            node.trouble = Trouble(
                attempt.run_key,
                attempt.number,
                change.kind,
                change.error,
                attempt.run,
                final=False,
                retry_at=change.retry_at,
            )
            self._wake(node, change.retry_at)
        else:
            held = change.states is None
            states = change.states or tuple(Gone.HELD for _ in node.plan.assets)
            if Gone.HELD in states:
                # The ledger remembers the last failed run key of a unit, and so do we.
                node.forget_failures()
            node.known[attempt.run_key] = states
            if Gone.HELD in states:
                failed = tuple(i for i, state in enumerate(states) if state is Gone.HELD)
                node.trouble = Trouble(
                    attempt.run_key,
                    attempt.number,
                    change.kind,
                    change.error,
                    attempt.run,
                    outputs=failed,
                )
                node.failures[attempt.run_key] = node.trouble
                self.commands.troubled.append(node)
            if not held:
                node.last_read = {
                    item.edge.parameter: tuple((key, part.version) for key, part in item.parts)
                    for item in attempt.pinned
                }
            self._settle(node, attempt.epoch, states)
        node.updated_at = now
        self._look_at(node)

    def _end_ingest(self, change: Ended, now: float) -> None:
        node = change.attempt.node
        if change.states is not None:
            node.deleted = change.attempt.kind == "delete"
            if node.trouble is not None:
                node.trouble = None
                self.commands.recovered.append(node)
            if change.states and change.states != node.history.latest:
                self._change_source(node, change.epoch, change.states, now)
        else:
            node.trouble = Trouble(
                "",
                change.attempt.number,
                change.kind,
                change.error,
                change.attempt.run,
                final=change.retry_at is None,
                retry_at=change.retry_at,
            )
            if change.retry_at is None:
                self.commands.troubled.append(node)
                source = node.plan.source
                held: tuple[State, ...] = (Gone.HELD,)
                holds = source is not None and source.on_reject == "hold" and node.born != NEVER
                if holds and node.history.latest != held:
                    self._change_source(node, change.epoch, held, now)
            else:
                self._wake(node, change.retry_at)
                self.ingests.retry(change.attempt)
        node.updated_at = now
        if self.ingests.ended(node):
            self._look_at_all(self._held)

    def _change_source(self, node: Node, epoch: int, states: tuple[State, ...], now: float) -> None:
        """A source's unit is something else from this epoch on: mark what can be reached."""
        node.history.close(epoch)
        node.history.settle(epoch, OPEN, states, self.debts.epochs)
        node.epoch = epoch
        if isinstance(states[0], Content):
            node.heads[0] = states[0]
            node.by_fingerprint[0][states[0].fingerprint] = states[0]
        if node.born == NEVER:
            node.born = epoch
            add_units(self.graph, node, epoch)
        self.graph.refresh(node)
        self.reach(self.graph.readers(node), epoch, now)

    def reach(self, nodes: Iterable[Node], epoch: int, now: float) -> None:
        """Mark these nodes and all that read them: a change at `epoch` may reach them."""
        self.epoch = max(self.epoch, epoch)
        stack = list(nodes)
        while stack:
            node = stack.pop()
            if not node.mark(epoch):
                self._look_at(node)
                continue
            if node.stale_since is None:
                node.stale_since = now
            self.graph.refresh(node)
            self._look_at(node)
            stack.extend(self.graph.readers(node))

    def _request(self, change: Requested, now: float) -> None:
        self.epoch = max(self.epoch, change.epoch)
        found: list[Node] = []
        for asset, key in change.units:
            plan, _ = self.topology.assets[asset]
            node = self.graph.get(plan, key)
            if node is not None:
                node.forced = node.forced or (change.force and plan.function is not None)
                found.append(node)
        marks: list[Node] = []
        stack, seen = list(found), set(found)
        while stack:
            node = stack.pop()
            if node.plan.source is not None:
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

    def _pause(self, change: Paused) -> None:
        for asset, key in change.units:
            plan, _ = self.topology.assets[asset]
            nodes = self.graph.nodes[plan.name]
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
            self._look_at_all(self.debts.give_up(node))
            self._unqueue(node)
            self._held.pop(node, None)
        if node.plan.source is not None:
            (self.ingests.pause if on else self.ingests.resume)(node)
            self._look_at_all(self._held)
        self._look_at(node)
        self._look_at_all(node.watchers)

    # Looking at nodes

    def _look_at(self, node: Node) -> None:
        if node in self._on_agenda:
            return
        self._on_agenda.add(node)
        self._pushed += 1
        heappush(self._agenda, (node.plan.rank, self._pushed, node))

    def _look_at_all(self, nodes: Iterable[Node]) -> None:
        for node in list(nodes):
            self._look_at(node)

    def _wake(self, node: Node, at: float) -> None:
        if node.wake_at is None or at < node.wake_at:
            node.wake_at = at
            self._pushed += 1
            heappush(self._wakes, (at, self._pushed, node))

    def _work(self, now: float) -> None:
        """Look at what is on the agenda, upstream first, until nothing more follows."""
        while self._agenda:
            _, _, node = heappop(self._agenda)
            self._on_agenda.discard(node)
            if node.plan.function is None or node.running is not None or not node.dirty:
                continue
            if node.queued or node.born == NEVER:
                continue
            if node.paused and not node.requested:
                continue
            prepared = self._prepare(node, now)
            if prepared is not None and not self._hold(node, prepared[0], now):
                node.queued = True
                self._ready.append(node)

    def _prepare(self, node: Node, now: float) -> Prepared | None:
        """Settle a node without a run as far as possible.

        If it must run: epoch, run key, inputs.
        """
        self._held.pop(node, None)
        if node.stale_since is None:
            node.stale_since = now
        while node.dirty:
            self._unwatch(node)
            trouble = node.trouble
            if trouble is not None and trouble.retry_at is not None and now < trouble.retry_at:
                self._wake(node, trouble.retry_at)
                return None
            epoch = self._choose(node, now)
            if epoch is None:
                return None
            if (ready := self._reuse(node, epoch)) is not None:
                return ready
            cut = self._collect(node, epoch)
            if cut is None:
                self._find_missing(node, epoch)
                return None
            if isinstance(cut, Gone):
                states: tuple[State, ...] | None = tuple(cut for _ in node.plan.assets)
                key = ""
            else:
                key = run_key(node, cut, node.plan.code)
                states = self._known(node, key, cut)
            if states is None or (node.forced and not isinstance(cut, Gone)):
                assert not isinstance(cut, Gone)
                node.prepared = (epoch, key, cut)
                return node.prepared
            self._settle_known(node, epoch, key, states, now)
        return None

    def _reuse(self, node: Node, epoch: int) -> Prepared | None:
        """What was worked out when the node was queued, if it holds at this epoch too."""
        ready = node.prepared
        if ready is None or not (ready[0] == epoch or node.dirty[-1] <= ready[0] < epoch):
            return None
        # No change has reached it since: what it reads is still the same.
        if self._known(node, *ready[1:]) is not None:
            return None
        node.prepared = (epoch, *ready[1:])
        return node.prepared

    def _settle_known(
        self, node: Node, epoch: int, key: str, states: tuple[State, ...], now: float
    ) -> None:
        """What comes out is known: no run."""
        moved = (Gone.DELETED in states) != node.deleted or any(
            isinstance(state, Content) and state != head
            for head, state in zip(node.heads, states, strict=True)
        )
        if Gone.HELD in states and key in node.failures:
            node.trouble = node.failures[key]
        elif node.trouble is not None and node.trouble.final:
            moved = True
        self._settle(node, epoch, states)
        if moved:
            node.updated_at = now
            self.commands.settled.append(Settled(node, epoch, states, key))

    def _find_missing(self, node: Node, epoch: int) -> None:
        """Something that it needs was not there as of an epoch: a newer one may do."""
        if not node.missing:
            return
        node.missing_at = max(node.missing_at, epoch)
        self._look_at_all(self.debts.give_up(node))
        if epoch < self.epoch:
            node.missing = ""
            newest, limits = self.graph.common_epoch(node, self.epoch)
            self._watch(node, limits)
            if newest > epoch:
                self._look_at(node)

    def _known(self, node: Node, key: str, cut: tuple[Pinned, ...]) -> tuple[State, ...] | None:
        """What this run key is known to give.

        With a policy that leaves code behind, what the old code gave.
        """
        node.code_stale = False
        states = node.known.get(key)
        function = node.plan.function
        head = node.heads[0]
        if states is not None or head is None or function is None:
            return states
        if function.on_code_change != "rebuild" and head.code != node.plan.code:
            states = node.known.get(run_key(node, cut, head.code))
            node.code_stale = states is not None
        return states

    def _choose(self, node: Node, now: float) -> int | None:
        """The epoch at which the node may run now.

        None if it has to wait, and then it watches for whom.
        """
        owed = min(node.owes, default=None)
        if node.target is not None and (owed is None or node.target < owed):
            owed = node.target
        if owed is not None:
            blocker = self.graph.first_unsettled(node, owed)
            if blocker is None:
                return owed
            self._watch(node, [blocker])
            return None
        epoch, limits = self.graph.common_epoch(node, self.epoch)
        self._watch(node, limits)
        if epoch >= node.dirty[0]:
            return epoch
        node.missing = self.graph.absent(node)
        if node.missing or not _is_join(node):
            return None
        since = now if node.stale_since is None else node.stale_since
        if now < since + self.max_wait_seconds:
            if any(self.is_live(limit) for limit in limits):
                self._wake(node, since + self.max_wait_seconds)
            return None
        debtors = self.debts.take(node, self.epoch)
        if debtors is None:
            return None
        self._look_at_all(debtors)
        return self._choose(node, now)

    def _collect(self, node: Node, epoch: int) -> tuple[Pinned, ...] | Gone | None:
        """All inputs as of one epoch (P3).

        DELETED where an own input is; None where something is absent or not settled.
        """
        node.missing = ""
        pinned: list[Pinned] = []
        deleted, missing = False, ""
        for edge in node.plan.inputs:
            parts: list[tuple[str, Content]] = []
            for unit in self.graph.producers(node, edge):
                states = unit.history.at(epoch)
                if states is None or states[edge.output] is Gone.HELD:
                    if unit.born > epoch:
                        continue
                    self._watch(node, [unit])
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

    def _hold(self, node: Node, epoch: int, now: float) -> bool:
        """Coalescing: wait at most `max_wait` for known work that will change what it reads."""
        if node.requested or node.owes or node.target is not None:
            return False
        waits = self.ingests.pending_above(node) or (
            epoch < self.epoch and any(self.is_live(unit) for unit in node.watching)
        )
        since = now if node.stale_since is None else node.stale_since
        if not waits or now >= since + self.max_wait_seconds:
            return False
        self._held[node] = None
        self._wake(node, since + self.max_wait_seconds)
        return True

    def is_live(self, node: Node) -> bool:
        """Whether work is under way that will settle a node.

        Not failed, blocked, paused or missing.
        """
        stack, seen = [node], {node}
        while stack:
            unit = stack.pop()
            if unit.running is not None or unit.queued or unit in self._held:
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

    def _start_run(self, now: float) -> Attempt | None:
        node = self._ready.popleft()
        node.queued = False
        if not node.dirty or node.running is not None or (node.paused and not node.requested):
            return None
        prepared = self._prepare(node, now)
        if prepared is None:
            return None
        epoch, key, pinned = prepared
        node.prepared = None
        trouble = node.trouble
        again = trouble is not None and not trouble.final and trouble.run_key == key
        why = explain(node, pinned)
        attempt = Attempt(
            node,
            "run",
            epoch,
            key,
            (trouble.attempts if again and trouble else 0) + 1,
            pinned,
            events=why.events,
            reasons=why.reasons,
            cause=(why.kind, why.event),
            code=node.plan.code,
            forced=node.forced,
        )
        node.running, node.forced, node.stale_since, node.wake_at = attempt, False, None, None
        return attempt

    # Settling

    def _settle(self, node: Node, epoch: int, states: tuple[State, ...]) -> None:
        held = Gone.HELD in states
        if node.trouble is not None and not held:
            recovered = node.trouble.final
            node.trouble = None
            # As the ledger has it: what failed before is tried again should it come back.
            node.forget_failures()
            if recovered:
                self.commands.recovered.append(node)
        node.prepared = None
        self._unwatch(node)
        node.settle(epoch, states, self.debts.epochs)
        node.requested = node.requested and epoch < node.requested_epoch
        node.deleted, node.missing = Gone.DELETED in states, ""
        node.wake_at = None
        if not node.dirty:
            node.stale_since = None
            self._held.pop(node, None)
        for position, state in enumerate(states):
            if isinstance(state, Content):
                node.by_fingerprint[position][state.fingerprint] = state
        self.graph.refresh(node)
        if held:
            self._look_at_all(self.debts.give_up(node))
        self._look_at_all(self.debts.pay(node))
        if node.target is not None and epoch >= node.target:
            self._look_at_all(self.debts.release(node))
        self._look_at_all(node.watchers)

    def _watch(self, node: Node, others: Iterable[Node]) -> None:
        for other in others:
            if node not in other.watchers:
                other.watchers[node] = None
                node.watching.append(other)

    def _unwatch(self, node: Node) -> None:
        for other in node.watching:
            other.watchers.pop(node, None)
        node.watching = []

    def _unqueue(self, node: Node) -> None:
        if node.queued and node.plan.function is not None:
            node.queued = False
            self._ready.remove(node)


def _is_join(node: Node) -> bool:
    """More than one input unit: it may have to wait for a common epoch."""
    inputs = node.plan.inputs
    return len(inputs) > 1 or any(not edge.own for edge in inputs)
