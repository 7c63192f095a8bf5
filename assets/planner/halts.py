"""Streams that wait behind what cannot be read: when each is tried again by itself."""

from msgspec import Struct

from afresh.assets.planner.nodes import Node

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
_NOW_TRIED = float("inf")


class Halt(Struct, eq=False):
    """How long this pause is, and when it is over."""

    seconds: float
    until: float


class Halts:
    """The pauses of all streams that halted; each is twice as long as the one before."""

    def __init__(self) -> None:
        self._halts: dict[Node, Halt] = {}

    def halt(self, node: Node, now: float) -> None:
        """A stream cannot be read: it rests."""
        before = self._halts.get(node)
        seconds = FIRST_PAUSE_SECONDS
        if before is not None:
            seconds = min(2 * before.seconds, LONGEST_PAUSE_SECONDS)
        self._halts[node] = Halt(seconds, now + seconds)

    def mend(self, node: Node) -> None:
        """It was read."""
        self._halts.pop(node, None)

    def until(self, node: Node) -> float | None:
        """When a stream is tried again; None if it does not rest."""
        halt = self._halts.get(node)
        return halt.until if halt is not None and halt.until < _NOW_TRIED else None

    def take_due(self, now: float) -> list[Node]:
        """Name those whose pause is over; how long it was is remembered."""
        due = [node for node, halt in self._halts.items() if halt.until <= now]
        for node in due:
            self._halts[node].until = _NOW_TRIED
        return due

    def next_at(self) -> float | None:
        """When the next pause is over."""
        at = min((halt.until for halt in self._halts.values()), default=_NOW_TRIED)
        return at if at < _NOW_TRIED else None
