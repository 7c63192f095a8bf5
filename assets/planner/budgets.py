"""Budgets: how often a source's data is read in a time; what comes beyond it is read later."""

from collections import deque

from msgspec import Struct, field

from afresh.assets.planner.nodes import Node
from afresh.assets.planner.topology import Plan, Topology
from afresh.assets.policy import Budget

_ALMOST = 1e-9
"""What rounding may leave of a whole reading."""


class Bucket(Struct, eq=False):
    """A budget of one source: `left` readings as of `at`, and the units that wait for more.

    `called` are those that waited and may be read as soon as a worker is free: so much of what is
    left is theirs.
    """

    count: int
    seconds: float
    left: float
    at: float = 0.0
    waiting: deque[Node] = field(default_factory=deque)
    called: dict[Node, None] = field(default_factory=dict)

    def fill(self, now: float) -> None:
        """Let what comes back with time come back."""
        if now > self.at:
            self.left = min(self.count, self.left + (now - self.at) * self.count / self.seconds)
            self.at = now

    @property
    def room(self) -> int:
        """How many more may be read now."""
        return int(self.left + _ALMOST) - len(self.called)

    @property
    def next_at(self) -> float | None:
        """When one that waits may be read; None while others go before it, or none waits."""
        if not self.waiting or self.called:
            return None
        return self.at + max(0.0, 1.0 - self.left) * self.seconds / self.count


class Budgets:
    """The budgets of all sources that have one."""

    def __init__(self, topology: Topology) -> None:
        self._buckets: dict[Plan, Bucket] = {}
        self._spent: dict[Plan, None] = {}
        for plan in topology.plans.values():
            budget = plan.source.budget if plan.source is not None else None
            if budget is not None:
                self._buckets[plan] = Bucket(budget.count, budget.seconds, budget.count)

    def has(self, plan: Plan) -> bool:
        """Whether a source has a budget."""
        return plan in self._buckets

    def spend(self, node: Node, now: float) -> bool:
        """Whether a unit may be read now; if not it waits here, after those that came before."""
        bucket = self._buckets.get(node.plan)
        if bucket is None:
            return True
        bucket.fill(now)
        if node in bucket.called:
            del bucket.called[node]
        elif bucket.waiting or bucket.room < 1:
            bucket.waiting.append(node)
            return False
        bucket.left -= 1.0
        self._spent[node.plan] = None
        return True

    def drop(self, node: Node) -> None:
        """A unit that was called is not to be read after all: others may."""
        bucket = self._buckets.get(node.plan)
        if bucket is not None:
            bucket.called.pop(node, None)

    def take_spent(self) -> list[tuple[str, float, float]]:
        """Of each source that was read since this was last asked, what is left, and as of when."""
        spent, self._spent = self._spent, {}
        return [(plan.name, self._buckets[plan].left, self._buckets[plan].at) for plan in spent]

    def restore(self, name: str, left: float, at: float) -> None:
        """So much was left of a source's budget before a restart."""
        for plan, bucket in self._buckets.items():
            if plan.name == name:
                bucket.left, bucket.at = min(left, float(bucket.count)), at

    def __bool__(self) -> bool:
        """Whether any source has one."""
        return bool(self._buckets)

    def take_ready(self, now: float) -> list[Node]:
        """Take those that wait and may be read now."""
        found: list[Node] = []
        for bucket in self._buckets.values():
            if bucket.waiting:
                bucket.fill(now)
                room = max(0, min(bucket.room, len(bucket.waiting)))
                called = [bucket.waiting.popleft() for _ in range(room)]
                bucket.called |= dict.fromkeys(called)
                found += called
        return found

    def next_at(self) -> float | None:
        """When the next of those that wait may be read."""
        times = [bucket.next_at for bucket in self._buckets.values()]
        return min((at for at in times if at is not None), default=None)

    def over(self, plan: Plan) -> Budget | None:
        """Give the budget of a source of which some units wait for it."""
        bucket = self._buckets.get(plan)
        if bucket is None or not bucket.waiting or plan.source is None:
            return None
        return plan.source.budget

    def waiting(self) -> dict[str, int]:
        """Of each source that is over its budget, how many of its units wait."""
        return {
            plan.name: len(bucket.waiting)
            for plan, bucket in self._buckets.items()
            if bucket.waiting
        }
