"""Run ids: 18 characters that sort by time and cannot repeat, also not after a crash."""

from collections.abc import Callable
from random import Random

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no i, l, o or u."""


class IdMaker:
    """Milliseconds since 1970 in ten digits, then forty random bits (after ULID).

    Strictly growing.
    """

    def __init__(self, now: Callable[[], float], random: Random) -> None:
        self._now = now
        self._random = random
        self._last = 0

    def __call__(self) -> str:
        """Make the next id."""
        number = (int(self._now() * 1000) << 40) | self._random.getrandbits(40)
        if number <= self._last:
            # Within a millisecond, or after the clock was set back.
            number = self._last + 1
        self._last = number
        return "".join(_DIGITS[number >> shift & 31] for shift in range(85, -1, -5))
