"""Arrivals that are recorded and not read yet, one ingest a unit at a time.

Of a file the newest state wins. Of a stream all are read, in order, as many at once as fit.
"""

from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING

from afresh.assets.planner.budgets import Budgets
from afresh.assets.planner.changes import Arrived
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.halts import Halts
from afresh.assets.planner.nodes import NEVER, Attempt, Node
from afresh.assets.planner.outside import Outside

MOST_BATCHES = 512
MOST_BYTES = 32 << 20
"""What one ingest of a stream takes at most; the rest follows."""
MOST_PENDING = 100_000
"""Units of a source that are recorded and not read, before its sensor has to wait, unless set."""
MOST_WAITING = 4096
MOST_WAITING_BYTES = 256 << 20
"""Batches of a stream that wait to be read: beyond that its sensor has to wait."""

if TYPE_CHECKING:
    from afresh.assets.planner.topology import Plan


class Ingests:
    """The queue of source units to read, and which sources have anything pending."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._queue: deque[Node] = deque()
        self._busy: dict[Plan, set[Node]] = {}
        self._sizes: dict[int, int] = {}
        self._mask = 0
        self.budgets = Budgets(graph.topology)
        self.halts = Halts()
        self.outside = Outside()
        self.most_pending = MOST_PENDING

    @property
    def queued(self) -> int:
        """How many units wait to be read."""
        return len(self._queue)

    def arrive(self, change: Arrived) -> None:
        """Note an arrival or deletion of a source's unit.

        Its source may be gone, or of another kind: the definitions changed since it was handed on.
        It stays pending.
        """
        plan = self._graph.topology.plans.get(change.source)
        if plan is None or plan.source is None or not _is_of(plan, change):
            return
        node = self._graph.get(plan, change.partition)
        if node is None:
            node = self._graph.add(Node(plan, change.partition, NEVER))
        if node.pending is None:
            node.pending = []
        node.pending.append((change.seq, change.kind))
        if plan.stream:
            self._sizes[change.seq] = change.size
        if not self.is_halted(node):
            self._mark(node)
            self._enqueue(node)

    def is_halted(self, node: Node) -> bool:
        """Whether a stream waits behind something that could not be read."""
        trouble = node.trouble
        return (
            node.plan.source is not None
            and node.plan.stream
            and bool(node.pending)
            and trouble is not None
            and trouble.final
        )

    def has_pending(self, seq: int, sources: Collection[str] | None = None) -> bool:
        """Whether an event up to this one is being read, or will be without anybody's doing.

        Of all sources, or of `sources`.
        """
        return any(
            (node.running is not None and node.running.events[0] <= seq)
            or (node.pending is not None and node.pending[0][0] <= seq)
            for plan, nodes in self._busy.items()
            if sources is None or plan.name in sources
            for node in nodes
        )

    def is_flooded(self, source: str) -> bool:
        """Whether so much of a source waits to be read that no more of it should come.

        Not of one that is paused or halted, nor of files beyond their budget: what comes is
        recorded, and read when it goes on.
        """
        plan = self._graph.topology.plans.get(source)
        if plan is not None and not plan.stream:
            return len(self._busy.get(plan, ())) >= self.most_pending and not self.budgets.has(plan)
        node = self._graph.get(plan, "") if plan is not None and plan.stream else None
        if node is None or not node.pending or node.paused or self.is_halted(node):
            return False
        if len(node.pending) >= MOST_WAITING:
            return True
        return sum(self._sizes.get(seq, 0) for seq, _ in node.pending) >= MOST_WAITING_BYTES

    def refill(self, now: float) -> None:
        """Queue what waited for its source's budget."""
        self._queue += self.budgets.take_ready(now)

    def let_go(self, running: Collection[Attempt]) -> None:
        """Queue what waited for others of its source to be read."""
        self._queue += self.outside.take_ready(running)

    def start(self, now: float, running: Collection[Attempt] = ()) -> Attempt | None:
        """Take the oldest unit; what came before its newest arrival is superseded unread."""
        node = self._queue.popleft()
        node.queued = False
        if not node.pending or node.running is not None or node.paused:
            self.outside.drop(node)
            self.budgets.drop(node)
            return None
        if node.pending[-1][1] == "deleted":
            self.outside.drop(node)
        elif not self.outside.admits(node, running):
            node.queued = True
            return None
        if not self.budgets.spend(node, now):
            node.queued = True
            return None
        number, unstored = node.count_attempts()
        if node.plan.stream:
            events, kind = self._take_batches(node, number - unstored), "ingest"
        else:
            events = tuple(seq for seq, _ in node.pending)
            kind = "delete" if node.pending[-1][1] == "deleted" else "ingest"
            node.pending = None
        node.running = Attempt(
            node,
            "delete" if kind == "delete" else "ingest",
            0,
            "",
            number,
            events=events,
            cause=(
                "deleted" if kind == "delete" else "arrived",
                events[0 if node.plan.stream else -1],
            ),
            code=node.plan.code,
            forced=node.forced,
            unstored=unstored,
        )
        node.forced = False
        return node.running

    def _take_batches(self, node: Node, tries: int) -> tuple[int, ...]:
        """The oldest batches that fit; after failures fewer, so that a bad one is alone at last."""
        most = max(1, MOST_BATCHES >> (5 * (tries - 1)))
        size = count = 0
        pending = node.pending or []
        for seq, _ in pending[:most]:
            size += self._sizes.get(seq, 0)
            if count and size > MOST_BYTES:
                break
            count += 1
        node.pending = pending[count:] or None
        return tuple(seq for seq, _ in pending[:count])

    def retry(self, attempt: Attempt) -> None:
        """The attempt is to be made again, unless something newer came meanwhile."""
        node = attempt.node
        node.pending = [*((seq, "arrived") for seq in attempt.events), *(node.pending or ())]

    def forget(self, attempt: Attempt) -> None:
        """What it read is read for good."""
        for seq in attempt.events:
            self._sizes.pop(seq, None)

    def ended(self, node: Node, *, halted: bool = False) -> bool:
        """An ingest ended: queue the next one. True if readers may have waited for this one."""
        if halted:
            self._forget(node)
            return True
        if node.pending and not node.paused:
            if node.wake_at is None:
                self._enqueue(node)
            return False
        self._forget(node)
        return True

    def resume(self, node: Node) -> None:
        """Automation goes on: read what was recorded meanwhile."""
        if node.pending:
            self._mark(node)
            self._enqueue(node)

    def pause(self, node: Node) -> None:
        """Automation stops: nobody waits for what is recorded and not read."""
        if node.running is None:
            self._forget(node)

    def _forget(self, node: Node) -> None:
        busy = self._busy.get(node.plan)
        if busy is not None:
            busy.discard(node)
            if not busy:
                del self._busy[node.plan]
                self._mask &= ~node.plan.bit

    def pending_above(self, node: Node) -> bool:
        """Whether an arrival is recorded or being read that will change what this node reads."""
        if not self._busy:
            return False
        if node.plan.whole_sources & self._mask:
            return True
        for plan in node.plan.own_sources:
            found = self._graph.get(plan, node.key)
            if found is not None and found in self._busy.get(plan, ()):
                return True
        return False

    def _mark(self, node: Node) -> None:
        if not node.paused:
            self._busy.setdefault(node.plan, set()).add(node)
            self._mask |= node.plan.bit

    def _enqueue(self, node: Node) -> None:
        if not node.queued and node.running is None and not node.paused:
            node.queued = True
            self._queue.append(node)


def _is_of(plan: "Plan", change: Arrived) -> bool:
    """Whether a source could have brought this: records come of streams alone."""
    return plan.has_key(change.partition) and (plan.stream or not change.size)
