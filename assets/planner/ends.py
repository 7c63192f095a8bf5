"""How attempts end: what the planner knows once an end is committed."""

from afresh.assets.planner.agenda import Agenda
from afresh.assets.planner.changes import DISPLACED, Ended
from afresh.assets.planner.content import OPEN, Content, Gone, State
from afresh.assets.planner.debts import Debts
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.growth import add_units
from afresh.assets.planner.ingests import Ingests
from afresh.assets.planner.nodes import NEVER, Node, Trouble
from afresh.assets.planner.policies import Policies
from afresh.assets.planner.settling import Settling
from afresh.assets.planner.slim import Slim
from afresh.assets.planner.staleness import Staleness
from afresh.assets.planner.streams import is_staged, marks_after, marks_gone


class Ends:
    """Takes in the ends of attempts, of runs and of ingests."""

    def __init__(
        self,
        graph: Graph,
        debts: Debts,
        agenda: Agenda,
        ingests: Ingests,
        policies: Policies,
        *,
        settling: Settling,
        staleness: Staleness,
    ) -> None:
        self._graph = graph
        self._debts = debts
        self._agenda = agenda
        self._ingests = ingests
        self._policies = policies
        self._settling = settling
        self._staleness = staleness

    def end(self, change: Ended, now: float) -> None:
        """Take in the end of an attempt."""
        node = change.attempt.node
        node.running = None
        self._graph.epoch = max(self._graph.epoch, change.epoch)
        if node.plan.source is not None:
            self._end_ingest(change, now)
            return
        if change.retry_at is not None:
            if change.kind != DISPLACED:
                node.trouble = _trouble(change)
            # It was asked for, and nothing else would bring it about.
            node.forced = node.forced or change.attempt.forced
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
            node.trouble = _trouble(change, failed)
            node.failures = {attempt.run_key: node.trouble}
            self._settling.commands.troubled.append(node)
        if node.plan.incremental and not failed:
            # What was read is behind the mark: this run key never comes again.
            del node.known[attempt.run_key]
            gone = marks_gone(attempt)
            kept = {name: mark for name, mark in (node.marks or {}).items() if name not in gone}
            node.marks = kept | marks_after(attempt)
            if attempt.reads_to:
                self._policies.goals.note(node.plan, now - attempt.started_at)
                self._settling.advance(node, states, staged=is_staged(attempt))
                return
            node.staged = None
        if change.states is not None:
            node.last_read = Slim(
                (item.edge.parameter, tuple((key, part.version) for key, part in item.parts))
                for item in attempt.pinned
            )
            if not failed:
                self._policies.consume(node, attempt.pinned)
            self._policies.goals.note(node.plan, now - attempt.started_at)
        self._settling.settle(node, attempt.epoch, states)

    def _end_ingest(self, change: Ended, now: float) -> None:
        node = change.attempt.node
        if change.attempt.kind == "ingest":
            self._ingests.outside.end(node.plan, failed=change.kind == "storage")
        if change.states is None:
            self._fail_ingest(change, now)
        else:
            self._ingests.forget(change.attempt)
            if node.plan.stream:
                # What halted it is read: what came behind need not wait for another try.
                node.wake_at = None
                self._ingests.halts.mend(node)
            node.deleted = change.attempt.kind == "delete"
            node.deleted_event = change.attempt.events[-1] if node.deleted else None
            if node.trouble is not None:
                node.trouble = None
                self._settling.commands.recovered.append(node)
            mended = change.attempt.forced and node.mend(change.states)
            if change.states and change.states != node.history.latest and not mended:
                self._change_source(node, change.epoch, change.states, now)
        node.updated_at = now
        halted = node.plan.stream and change.states is None and change.retry_at is None
        if self._ingests.ended(node, halted=halted):
            self._agenda.look_at_all(self._agenda.held)

    def _fail_ingest(self, change: Ended, now: float) -> None:
        node = change.attempt.node
        if change.kind != DISPLACED:
            node.trouble = _trouble(change)
        if change.retry_at is not None or node.plan.stream:
            self._ingests.retry(change.attempt)
            node.forced = node.forced or change.attempt.forced
        if change.retry_at is not None:
            self._agenda.wake(node, change.retry_at)
            return
        if node.plan.stream:
            self._ingests.halts.halt(node, now)
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
            add_units(self._graph, node, epoch)
        self._graph.refresh(node)
        self._policies.moved(node)
        self._staleness.reach(self._graph.readers(node), epoch, now)


def _trouble(change: Ended, outputs: tuple[int, ...] = ()) -> Trouble:
    attempt, retry_at = change.attempt, change.retry_at
    return Trouble(
        attempt.number,
        change.kind,
        change.error,
        attempt.run,
        final=retry_at is None,
        retry_at=retry_at,
        outputs=outputs,
        unstored=attempt.unstored + (change.kind == "storage"),
    )
