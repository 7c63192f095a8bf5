"""How many calls a second are taken: a bucket of tokens that fills with time."""

import re

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def per_second(text: object) -> float:
    """Read a rate: "100/s", "60/m", "1000/h". Raises ValueError."""
    found = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
    rate = float(found[1]) / _SECONDS[found[2]] if found else 0.0
    if not 0 < rate < 1e9:
        msg = f'Expected a rate like "100/s", "60/m" or "1000/h", found {text!r}'
        raise ValueError(msg)
    return rate


class Bucket:
    """Holds the calls of a second (at least one); each takes a token, time brings new ones."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._size = max(1.0, rate)
        self._tokens = self._size
        self._at = now

    def take(self, count: int, now: float) -> float:
        """Take tokens, and give 0; or take none, and give the seconds until there are as many.

        More than the bucket holds are given when it is full.
        """
        self._tokens = min(self._size, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        wanted = min(float(count), self._size)
        if self._tokens >= wanted:
            self._tokens -= wanted
            return 0.0
        return (wanted - self._tokens) / self._rate
