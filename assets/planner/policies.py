"""When an asset that is behind may run: its refresh policy, decided without a clock or a look.

Policies other than eager and debounce make roots (P3): a change stops at such a unit, which stays
settled at its last version. What lets it run is a tick, an event with an epoch of its own: the unit
is something else from there on, and what reads it is stale. A tick is asked for by `find_due` and
takes effect when it is committed (`Ticked`), so that none is lost or doubled by a crash.
"""

from msgspec import Struct

from afresh.assets.planner.agenda import Agenda
from afresh.assets.planner.behind import Behind, Consumed, News
from afresh.assets.planner.changes import Ticked
from afresh.assets.planner.content import Gone
from afresh.assets.planner.cut import Cuts
from afresh.assets.planner.deadlines import Deadlines
from afresh.assets.planner.goals import Goals
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.known import find_outcome
from afresh.assets.planner.nodes import NEVER, Node, Pinned
from afresh.assets.planner.quiet import Quiets
from afresh.assets.planner.releases import Releases
from afresh.assets.planner.timetable import Timetable
from afresh.assets.planner.topology import Plan
from afresh.assets.policy import (
    AllNew,
    AnyNew,
    Both,
    Cron,
    Debounce,
    Either,
    Every,
    Freshness,
    describe,
    holds,
)


class Due(Struct, frozen=True):
    """A tick to record: which units of a plan it lets run, and why.

    `until` is up to when a schedule's ticks are dealt with by it. Without units there is nothing to
    tell of, only that.
    """

    name: str
    keys: tuple[str, ...]
    detail: str
    until: float | None = None


class Policies:
    """All that waits for its policy."""

    def __init__(self, graph: Graph, agenda: Agenda, cuts: Cuts) -> None:
        self.timetable = Timetable()
        self.goals = Goals(graph.topology)
        self.news = News(graph)
        self.quiets = Quiets(agenda)
        self.releases = Releases(graph)
        self._graph = graph
        self._agenda = agenda
        self._cuts = cuts
        self._behind: dict[Plan, dict[Node, Behind]] = {}
        self._ready: dict[Node, str] = {}
        self._deadlines = Deadlines()

    def begin(self, since: dict[str, float]) -> None:
        """Take in all schedules; `since` says up to when each one's ticks are dealt with."""
        for plan in self._graph.topology.plans.values():
            if isinstance(plan.policy, Cron | Every):
                self.timetable.put(plan.name, plan.policy, since.get(plan.name))

    def date_back(self) -> None:
        """After a restart: units are behind since the versions were made that they did not read."""
        for plan, nodes in self._behind.items():
            if isinstance(plan.policy, Freshness):
                for node, behind in nodes.items():
                    times = self.news.times(node)
                    if times:
                        behind.add(behind.epoch, min(times))
        for node in self.quiets.disturbed:
            self.quiets.date_back(node, self.news.times(node))
            self.news.forget(node)

    # A change reaches a unit

    def defers(self, node: Node, epoch: int, now: float, since: float) -> bool:
        """Whether a change ends here: the unit stays what it is until its policy lets it run."""
        if not node.plan.root:
            if isinstance(node.plan.policy, Debounce):
                self.quiets.disturb(node, now)
            return False
        tick = self.releases.cause(node)
        if tick is not None and (not node.dirty or node.dirty[-1] < tick.epoch):
            return False
        # What was worked out for it may be of older inputs now.
        node.prepared = None
        if node.plan.inputs or self._is_other(node):
            behind = self._behind.setdefault(node.plan, {}).setdefault(node, Behind())
            behind.add(epoch, since)
        return True

    def moved(self, node: Node) -> None:
        """A unit was settled: there may be news for those that wait to hear of some."""
        for plan, edge in node.plan.readers:
            if not plan.root:
                continue
            nodes = self._graph.nodes[plan.name]
            for reader in filter(None, [nodes.get(node.key)]) if edge.own else nodes.values():
                self.news.move(reader, edge, node)
                self._agenda.look_at(reader)

    def look(self, node: Node) -> None:
        """See whether a unit that is left behind may run, or is not behind after all."""
        if node.paused:
            return
        owed = self.releases.take_owed(node)
        if owed is not None:
            self._ready[node] = owed
            return
        behind = self.behind(node)
        if behind is None:
            return
        policy = node.plan.policy
        new = self.news.of(node)
        if not new and not self._is_other(node):
            self._verify(node, behind)
        elif isinstance(policy, AllNew | AnyNew | Both | Either):
            inputs = tuple(edge.parameter for edge in node.plan.inputs)
            # What was new may be as it was before again: looked at once more before it counts.
            if holds(policy, new, inputs) and holds(policy, self.news.find(node), inputs):
                self._ready[node] = describe(policy)
        elif isinstance(policy, Freshness):
            self._deadlines.put(node, self.goals.latest_start(node.plan, behind.since))

    def _is_other(self, node: Node) -> bool:
        """Whether it has no version, or one of older code."""
        function, head = node.plan.function, node.heads[0]
        if head is None:
            return True
        assert function is not None
        return function.on_code_change == "rebuild" and head.code != node.plan.code

    def _verify(self, node: Node, behind: Behind) -> None:
        """No input has news: if all of them are known up to the change, it made no difference."""
        node.unwatch()
        epoch, limits = self._graph.common_epoch(node, self._graph.epoch)
        if epoch < behind.epoch:
            node.watch(limits)
            return
        cut = self._cuts.collect(node, epoch)
        if cut is None:
            return
        _, states = find_outcome(node, cut)
        if states is not None and states == node.history.latest:
            self._catch_up(node, epoch)
        elif isinstance(node.plan.policy, Freshness):
            self._deadlines.put(node, self.goals.latest_start(node.plan, behind.since))

    def behind(self, node: Node) -> Behind | None:
        """What has changed below a unit that its policy holds back; None if nothing has."""
        return self._behind.get(node.plan, {}).get(node)

    def leaves(self, node: Node) -> bool:
        """Whether it is up to the policy alone that a unit stays as it is."""
        return node.plan.root and not node.dirty

    # Ticks

    def find_due(self, now: float) -> list[Due]:
        """What is due; the same again until it is told of as `Ticked`."""
        for node in self._deadlines.take_due(now):
            behind = self.behind(node)
            if behind is None or node.paused or node.dirty:
                continue
            start = self.goals.latest_start(node.plan, behind.since)
            if start > now:
                self._deadlines.put(node, start)
            else:
                self._ready[node] = describe(node.plan.policy)
        groups: dict[tuple[str, str], list[str]] = {}
        for node, detail in list(self._ready.items()):
            if self._may_start(node):
                groups.setdefault((node.plan.name, detail), []).append(node.key)
            else:
                del self._ready[node]
        found = [Due(name, tuple(sorted(keys)), detail) for (name, detail), keys in groups.items()]
        for ticks in self.timetable.find_due(now):
            plan = self._graph.topology.plans[ticks.name]
            units = () if ticks.tick is None else self.units_due(plan)
            found.append(Due(ticks.name, units, describe(plan.policy), ticks.until))
        return found

    def next_at(self) -> float | None:
        """When anything will be due next."""
        if self._ready:
            return 0.0
        times = [at for at in (self.next_deadline(), self.timetable.next_at()) if at is not None]
        return min(times, default=None)

    def next_deadline(self) -> float | None:
        """When the next unit has to start to be fresh."""
        return self._deadlines.next_at()

    @property
    def waiting(self) -> bool:
        """Whether something is to be let run at once."""
        return bool(self._ready)

    def units_due(self, plan: Plan) -> tuple[str, ...]:
        """The units that a tick lets run; of an asset that reads nothing, its one unit always."""
        if not plan.inputs:
            nodes = self._graph.nodes[plan.name].values()
            return tuple(node.key for node in nodes if node.running is not None or not node.dirty)
        units = self._behind.get(plan, {}).items()
        return tuple(sorted(node.key for node, each in units if self._is_due(node, each)))

    def _is_due(self, node: Node, behind: Behind) -> bool:
        """Whether a tick lets a unit run; one that it waits for or runs by takes no second one."""
        if not node.dirty:
            return self._exists(node)
        tick, running = self.releases.cause(node), node.running
        if running is not None and running.epoch >= behind.epoch:
            return False
        return tick is None or behind.epoch > tick.epoch

    def _may_start(self, node: Node) -> bool:
        wanted = self.behind(node) is not None or not node.plan.inputs
        return wanted and not node.dirty and not node.paused and self._exists(node)

    def _exists(self, node: Node) -> bool:
        return node.born != NEVER or not self._graph.absent(node)

    # What lets them run

    def tick(self, change: Ticked) -> tuple[list[Node], float | None]:
        """A tick is committed: the units that it lets run, and since when they are behind."""
        if change.until is not None:
            self.timetable.advance(change.name, change.until)
        plan = self._graph.topology.plans.get(change.name)
        if plan is None or not plan.root:
            return [], None
        found = []
        for key in change.keys:
            node = self._graph.get(plan, key)
            if node is None:
                continue
            self._ready.pop(node, None)
            if node.paused and self.releases.cause(node) is None:
                self.releases.owe(node, change)
            else:
                found.append(node)
        behind = [each.since for node in found if (each := self.behind(node)) is not None]
        since = min(behind, default=None) if isinstance(plan.policy, Freshness) else None
        return [node for node in found if self.let_run(node, change)], since

    def let_run(self, node: Node, change: Ticked) -> bool:
        """Let a unit run as of an epoch. False if it does not exist yet."""
        if not self.releases.let_run(node, change):
            return False
        self._ready.pop(node, None)
        return True

    # A unit is settled

    def consume(self, node: Node, pinned: tuple[Pinned, ...] | Gone) -> None:
        """A unit is what it is by these inputs."""
        if node.plan.root:
            self.news.consume(node, () if isinstance(pinned, Gone) else pinned)

    def restore(self, node: Node, consumed: Consumed) -> None:
        """The last run of a unit read this."""
        self.news.restore(node, consumed)

    def settled(self, node: Node, epoch: int) -> bool:
        """A unit is settled at an epoch. True if what let it run is done with."""
        self.moved(node)
        if not node.dirty:
            self.quiets.forget(node)
        if not node.plan.root:
            return False
        self._catch_up(node, epoch)
        if not self.releases.fulfil(node):
            return False
        self._agenda.look_at(node)
        return True

    def _catch_up(self, node: Node, epoch: int) -> None:
        behind = self.behind(node)
        if behind is not None and behind.drop(epoch):
            del self._behind[node.plan][node]
            self._ready.pop(node, None)
