"""The way out of a misspelt name."""

from collections.abc import Iterable
from itertools import islice

MOST_NAMES = 10_000
"""So many are compared, for a moment's wait: there may be a million partitions."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Give the name most like this one, "" when none is like it."""
    # Lazy: only who misspells pays for it.
    from difflib import get_close_matches  # noqa: PLC0415

    folded = {known.casefold(): known for known in islice(names, MOST_NAMES)}
    found = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else ""


def did_you_mean(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """Write a hint that gives the nearest name, or `otherwise`."""
    found = nearest(name, names)
    return f"did you mean {found!r}?" if found else otherwise
