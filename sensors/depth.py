"""How deep in a chain of causes something is: how many runs in a row led to it, each to the next.

What a run sends outside carries the run's depth, if its sender says so: as the header
`afresh-depth` of HTTP and Kafka, or as the extension attribute `afreshdepth` of a CloudEvent. So a
loop that leads through others is seen.
"""

from collections.abc import Iterable

HEADER = "afresh-depth"
ATTRIBUTE = "afreshdepth"
VARIABLE = "AFRESH_DEPTH"
"""Of the environment of a run's function, and of `afresh emit` in it."""
MOST = 10_000
_NAMES = frozenset({HEADER, f"ce_{ATTRIBUTE}"})


def read_depth(text: str | bytes | None) -> int:
    """Read a depth that somebody says; 0 for what is none."""
    if not text or len(text) > 6 or not (text.isascii() and text.isdigit()):
        return 0
    return min(int(text), MOST)


def depth_of(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """The depth that the headers of a record say."""
    return max((read_depth(value) for name, value in headers if name in _NAMES), default=0)
