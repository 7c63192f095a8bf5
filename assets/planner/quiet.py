"""Debounce: a unit that has to run waits until nothing has changed for a while, or for too long."""

from collections.abc import Sequence

from msgspec import Struct

from afresh.assets.planner.agenda import Agenda
from afresh.assets.planner.nodes import Node
from afresh.assets.policy import Debounce


class Quiet(Struct, eq=False):
    """The changes that a debounced unit has not run for: when they came, and how many."""

    first: float
    last: float
    count: int


class Quiets:
    """All debounced units that something has changed for."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._quiet: dict[Node, Quiet] = {}

    def disturb(self, node: Node, now: float) -> None:
        """Something has changed."""
        quiet = self._quiet.get(node)
        if quiet is None:
            self._quiet[node] = Quiet(now, now, 1)
        else:
            quiet.last, quiet.count = now, quiet.count + 1

    def date_back(self, node: Node, times: Sequence[float]) -> None:
        """After a restart: a unit waits since its changes came, not since they were found again."""
        if node in self._quiet and times:
            self._quiet[node] = Quiet(min(times), max(times), len(times))

    def waits(self, node: Node, now: float) -> bool:
        """Whether a unit that has to run waits for quiet; then it is looked at again."""
        policy, quiet = node.plan.policy, self._quiet.get(node)
        if not isinstance(policy, Debounce) or quiet is None or node.requested or node.forced:
            return False
        until = min(quiet.last + policy.quiet_seconds, quiet.first + policy.longest_seconds)
        if now >= until or 0 < policy.most <= quiet.count:
            return False
        self._agenda.wake(node, until)
        return True

    def begin_run(self, node: Node, epoch: int) -> None:
        """A run begins for the changes up to an epoch; those that came later wait for their own."""
        quiet = self._quiet.pop(node, None)
        later = sum(each > epoch for each in node.dirty)
        if quiet is not None and later:
            self._quiet[node] = Quiet(quiet.last, quiet.last, later)

    def forget(self, node: Node) -> None:
        """It is up to date, or what is left to do follows at once."""
        self._quiet.pop(node, None)

    @property
    def disturbed(self) -> list[Node]:
        """The units that something has changed for."""
        return list(self._quiet)
