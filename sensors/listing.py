"""The difference of two listings, pure: what a scan found against what is recorded."""

from collections.abc import Iterable, Mapping

from afresh.sensors.base import Identity


def gone(known: Iterable[str], found: Mapping[str, Identity]) -> list[str]:
    """Give the known paths that were not found, in the order known."""
    return [path for path in known if path not in found]


def is_suspicious(gone_count: int, known_count: int) -> bool:
    """Is more than half gone: rather a folder that is not mounted than that many deletions."""
    return 2 * gone_count > known_count
