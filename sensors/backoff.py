"""Pauses that grow from failure to failure, with jitter."""

from random import Random

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class Backoff:
    """Each pause may be twice the one before; it is between half of that and all of it."""

    __slots__ = ("_first", "_longest", "_pause", "_random")

    def __init__(
        self,
        random: Random,
        first_seconds: float = FIRST_PAUSE_SECONDS,
        longest_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        self._random = random
        self._first = self._pause = first_seconds
        self._longest = longest_seconds

    def next_seconds(self) -> float:
        """Give how long to wait now."""
        pause = self._pause
        self._pause = min(2.0 * pause, self._longest)
        return pause * (0.5 + 0.5 * self._random.random())

    def reset(self) -> None:
        """Begin with the first pause again."""
        self._pause = self._first
