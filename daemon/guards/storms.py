"""Sources that bring more than their budget: told once when it begins, and when it is over."""

from collections.abc import Callable

from afresh.assets.planner.planner import Planner


class Storms:
    """Which sources are over their budget. Looked at after each step; that costs next to nothing.

    `tell` is given the source, its budget, and how many units wait: 0 when it is over.
    """

    def __init__(self, tell: Callable[[str, str, int], None]) -> None:
        self._tell = tell
        self._over: set[str] = set()

    def look(self, planner: Planner) -> None:
        """See which sources have begun, and which have ceased, to be over their budget."""
        waiting = planner.ingests.budgets.waiting()
        if not waiting and not self._over:
            return
        for name in self._over - waiting.keys():
            self._tell(name, "", 0)
        for name in waiting.keys() - self._over:
            self._tell(name, budget_of(planner, name), waiting[name])
        self._over = set(waiting)


def budget_of(planner: Planner, name: str) -> str:
    """A source's budget as it is declared."""
    plan = planner.topology.plans[name]
    return str(plan.source.budget) if plan.source is not None else ""
