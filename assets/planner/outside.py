"""Sources whose data is fetched from a server: how many units of each are read at once.

A store that hangs must not take every worker from what does not need it. So each such source has as
many workers at most as there are (others are lent for what comes beside it, see the pool), and one
while the store does not answer: a unit that is read ends that, not a time.
"""

from collections import deque
from collections.abc import Collection

from afresh.assets.planner.nodes import Attempt, Node
from afresh.assets.planner.topology import Plan


class Outside:
    """The units that wait, by source, in their order."""

    def __init__(self) -> None:
        self.most = 1 << 30
        """How many units of one source are read at once while its store answers."""
        self._waiting: dict[Plan, deque[Node]] = {}
        self._called: dict[Node, None] = {}
        """Those that waited and may go before others of their source."""
        self._failing: set[Plan] = set()

    def __len__(self) -> int:
        """How many units wait."""
        return sum(map(len, self._waiting.values()))

    def admits(self, node: Node, running: Collection[Attempt]) -> bool:
        """Whether a unit may be read now; if not it waits here, after those that came before."""
        plan = node.plan
        if plan.source is None or not plan.source.outside:
            return True
        if node in self._called:
            del self._called[node]
            if self._room(plan, running) > 0:
                return True
            self._waiting.setdefault(plan, deque()).appendleft(node)
            return False
        if plan not in self._waiting and self._room(plan, running) > 0:
            return True
        self._waiting.setdefault(plan, deque()).append(node)
        return False

    def drop(self, node: Node) -> None:
        """A unit that was called is not to be read after all: others may."""
        self._called.pop(node, None)

    def end(self, plan: Plan, *, failed: bool) -> None:
        """Note whether the store of a source failed when a unit was read, or answered."""
        if failed:
            self._failing.add(plan)
        else:
            self._failing.discard(plan)

    def take_ready(self, running: Collection[Attempt]) -> list[Node]:
        """Take those that wait and may be read now."""
        found: list[Node] = []
        for plan, waiting in list(self._waiting.items()):
            room = min(self._room(plan, running), len(waiting))
            found += [waiting.popleft() for _ in range(room)]
            if not waiting:
                del self._waiting[plan]
        self._called |= dict.fromkeys(found)
        return found

    def _room(self, plan: Plan, running: Collection[Attempt]) -> int:
        under_way = sum(attempt.node.plan is plan for attempt in running)
        under_way += sum(node.plan is plan for node in self._called)
        return max(0, (1 if plan in self._failing else self.most) - under_way)
