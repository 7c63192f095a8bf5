"""Nodes become settled: without a run where its outcome is known, else by a run on a cut."""

from afresh.assets.planner.agenda import Agenda
from afresh.assets.planner.changes import Commands, Settled
from afresh.assets.planner.content import Content, Gone, State
from afresh.assets.planner.cut import Cuts
from afresh.assets.planner.debts import Debts
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.known import find_outcome, reuse
from afresh.assets.planner.nodes import NEVER, Attempt, Node, Prepared
from afresh.assets.planner.policies import Policies
from afresh.assets.planner.reasons import explain
from afresh.assets.planner.streams import first_rows, must_replace


class Settling:
    """Works off the agenda. `commands` gathers what is to be recorded of it."""

    def __init__(
        self, graph: Graph, debts: Debts, agenda: Agenda, cuts: Cuts, policies: Policies
    ) -> None:
        self.commands = Commands()
        self._graph = graph
        self._debts = debts
        self._agenda = agenda
        self._cuts = cuts
        self._policies = policies

    def take_commands(self) -> Commands:
        """What was gathered since it was last taken."""
        commands, self.commands = self.commands, Commands()
        return commands

    def work(self, now: float) -> None:
        """Look at what is on the agenda, upstream first, until nothing more follows."""
        for node in self._agenda.take_looks():
            if node.plan.function is None or node.running is not None:
                continue
            if not node.dirty:
                self._policies.look(node)
                continue
            if node.queued or node.born == NEVER:
                continue
            if node.paused and not node.requested:
                continue
            prepared = self._prepare(node, now, may_hold=True)
            if prepared is None or self._policies.quiets.waits(node, now):
                continue
            if not self._cuts.hold(node, prepared[0], now):
                self._agenda.queue(node)

    def start(self, now: float) -> Attempt | None:
        """An attempt at the node that waits longest, None if it need not or cannot run now."""
        node = self._agenda.take_ready()
        if not node.dirty or node.running is not None or (node.paused and not node.requested):
            return None
        prepared = self._prepare(node, now)
        if prepared is None:
            return None
        epoch, key, pinned = prepared
        node.prepared = None
        number, unstored = node.count_attempts()
        why = self._policies.releases.explain(node, explain(self._graph, node, pinned))
        attempt = Attempt(
            node,
            "run",
            epoch,
            key,
            number,
            pinned,
            events=why.events,
            reasons=why.reasons,
            cause=(why.kind, why.event),
            code=node.plan.code,
            forced=node.forced,
            unstored=unstored,
        )
        self._policies.quiets.begin_run(node, epoch)
        if node.plan.incremental:
            attempt.reads_from = first_rows(node, pinned)
            attempt.replaces = must_replace(node, pinned)
        node.running, node.forced, node.stale_since, node.wake_at = attempt, False, None, None
        return attempt

    def advance(self, node: Node, states: tuple[State, ...], *, staged: bool) -> None:
        """A reader has read some of what is new: it is not settled before it has read the rest.

        What is staged does not take the place of the heads before that.
        """
        self._recover(node)
        node.prepared = None
        self._policies.quiets.forget(node)
        contents = tuple(state for state in states if isinstance(state, Content))
        if staged:
            node.staged = contents
        else:
            node.heads = list(contents)

    def _recover(self, node: Node) -> None:
        """A run of a node has succeeded: what failed before is tried again should it come back."""
        if node.trouble is None:
            return
        if node.trouble.final:
            self.commands.recovered.append(node)
        node.trouble = None
        # As the ledger has it.
        node.forget_failures()

    def settle(self, node: Node, epoch: int, states: tuple[State, ...]) -> None:
        """The node's states as of `epoch` are known: tell all who waited for that."""
        held = Gone.HELD in states
        if not held:
            self._recover(node)
        node.prepared = None
        node.unwatch()
        node.settle(epoch, states, self._debts.epochs)
        if epoch >= node.requested_epoch:
            node.requested = node.forced = False
        node.deleted, node.missing = Gone.DELETED in states, ""
        node.wake_at = None
        if not node.dirty:
            node.stale_since = None
            self._agenda.held.pop(node, None)
        for position, state in enumerate(states):
            if isinstance(state, Content) and state.span is None:
                node.by_fingerprint[position][state.fingerprint] = state
        self._graph.refresh(node)
        if held:
            self._agenda.look_at_all(self._debts.give_up(node))
        self._agenda.look_at_all(self._debts.pay(node))
        if node.target is not None and epoch >= node.target:
            self._agenda.look_at_all(self._debts.release(node))
        self._agenda.look_at_all(node.watchers or ())
        if self._policies.settled(node, epoch):
            self.commands.fulfilled.append(node)

    def _prepare(self, node: Node, now: float, *, may_hold: bool = False) -> Prepared | None:
        """Settle a node without a run as far as possible.

        If it must run: epoch, run key, inputs. What reads all units of an asset is looked through
        once for all that are about to change, not for each (`may_hold`).
        """
        self._agenda.held.pop(node, None)
        if node.stale_since is None:
            node.stale_since = now
        while node.dirty:
            node.unwatch()
            trouble = node.trouble
            if trouble is not None and trouble.retry_at is not None and now < trouble.retry_at:
                self._agenda.wake(node, trouble.retry_at)
                return None
            epoch = self._cuts.choose(node, now)
            if epoch is None:
                return None
            if (ready := reuse(node, epoch)) is not None:
                return ready
            if may_hold and node.plan.reads_all and self._cuts.hold(node, epoch, now):
                return None
            cut = self._cuts.collect(node, epoch)
            if cut is None:
                self._cuts.find_missing(node, epoch)
                return None
            key, states = find_outcome(node, cut)
            if states is None or (node.forced and not isinstance(cut, Gone)):
                assert not isinstance(cut, Gone)
                node.prepared = (epoch, key, cut)
                return node.prepared
            if Gone.HELD not in states:
                self._policies.consume(node, cut)
            self._settle_known(node, epoch, key, states, now)
        return None

    def _settle_known(
        self, node: Node, epoch: int, key: str, states: tuple[State, ...], now: float
    ) -> None:
        """What comes out is known: no run."""
        moved = (Gone.DELETED in states) != node.deleted or any(
            isinstance(state, Content) and state != head
            for head, state in zip(node.heads, states, strict=True)
        )
        if Gone.HELD in states and node.failures and key in node.failures:
            node.trouble = node.failures[key]
        elif node.trouble is not None and node.trouble.final:
            moved = True
        self.settle(node, epoch, states)
        if moved:
            node.updated_at = now
            self.commands.settled.append(Settled(node, epoch, states, key))
