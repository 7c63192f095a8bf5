"""Freshness: how late a unit may start so that no change is left out for longer than its goal.

An asset with a freshness of its own is brought along by those that read it and have one too: it
takes the tightest of their goals, less what the runs between them take.
"""

from collections import deque

from afresh.assets.planner.topology import Plan, Topology
from afresh.assets.policy import Freshness

REMEMBERED = 10
"""Runs of which the longest is what the next one is expected to take."""
MARGIN = 1.2
RESERVE = 0.05
"""Of the goal, for what is not the run itself."""
UNKNOWN = 0.1
"""Of the goal, for a run that has never been."""


class Goals:
    """The goals of all plans with a freshness, their own and those of their readers."""

    def __init__(self, topology: Topology) -> None:
        self._goals: dict[Plan, list[tuple[float, tuple[Plan, ...]]]] = {}
        self._seconds: dict[Plan, deque[float]] = {}
        for plan in topology.plans.values():
            if isinstance(plan.policy, Freshness):
                self._follow(plan, plan.policy.goal_seconds)

    def _follow(self, last: Plan, goal: float) -> None:
        """Note a goal with all that has to run for it, on the longest way to each."""
        ways: dict[Plan, tuple[Plan, ...]] = {last: (last,)}
        waiting = [last]
        while waiting:
            plan = max(waiting, key=lambda each: each.rank)
            waiting.remove(plan)
            if isinstance(plan.policy, Freshness):
                self._goals.setdefault(plan, []).append((goal, ways[plan]))
            for one in ways[plan]:
                self._seconds.setdefault(one, deque(maxlen=REMEMBERED))
            for edge in plan.inputs:
                above = edge.producer
                left_behind = above.root and not isinstance(above.policy, Freshness)
                if above.function is None or left_behind:
                    continue
                way = (above, *ways[plan])
                if len(way) > len(ways.get(above, ())):
                    if above not in ways:
                        waiting.append(above)
                    ways[above] = way

    def wants(self, plan: Plan) -> bool:
        """Whether it matters how long the runs of a plan take."""
        return plan in self._seconds

    @property
    def timed(self) -> list[Plan]:
        """The plans of which it matters."""
        return list(self._seconds)

    def note(self, plan: Plan, seconds: float) -> None:
        """A run took so long."""
        if plan in self._seconds:
            self._seconds[plan].append(max(0.0, seconds))

    def latest_start(self, plan: Plan, since: float) -> float:
        """When a unit that is behind since then has to start."""
        return since + min(
            (
                max(0.0, goal - sum(self._expect(each, goal) for each in way))
                for goal, way in self._goals[plan]
            ),
            default=0.0,
        )

    def _expect(self, plan: Plan, goal: float) -> float:
        seconds = self._seconds[plan]
        if not seconds:
            return UNKNOWN * goal
        return MARGIN * max(seconds) + RESERVE * goal
