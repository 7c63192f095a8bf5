"""Durations as people write them."""

import re

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> float:
    """Read a number of seconds, or "500ms", "30s", "5m", "2h", "30d". Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
        number = float(found[1]) * _SECONDS[found[2]]
    else:
        number = -1.0
    if not 0 <= number < float("inf"):
        msg = f"Expected seconds, or a duration like '30s', '5m', '2h', '30d', found {value!r}"
        raise ValueError(msg)
    return number
