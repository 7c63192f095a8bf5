"""Sizes as people write them."""

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMG]i?)?B?")
_BYTES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def size(value: object) -> int:
    """Read a number of bytes, or "64kB", "256MB", "1GiB". Raises ValueError."""
    number = value if isinstance(value, int) and not isinstance(value, bool) else -1
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
        number = int(float(found[1]) * _BYTES[(found[2] or "").replace("K", "k")])
    if number < 1:
        msg = f"Expected a number of bytes, or a size like '64kB', '256MB', '1GiB', found {value!r}"
        raise ValueError(msg)
    return number
