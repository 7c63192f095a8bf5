"""The difference of two listings, pure: what a scan found against what is recorded."""

from collections.abc import Collection, Mapping

from afresh.sensors.base import Identity


def changed(known: Mapping[str, Identity], found: Mapping[str, Identity]) -> list[str]:
    """Give the paths that are new or whose identity is another one, in the order found."""
    return [path for path, identity in found.items() if known.get(path) != identity]


def gone(known: Collection[str], found: Mapping[str, Identity]) -> list[str]:
    """Give the known paths that were not found, in the order known."""
    return [path for path in known if path not in found]


def is_suspicious(gone_count: int, known_count: int) -> bool:
    """Is more than half gone: rather a folder that is not mounted than that many deletions."""
    return 2 * gone_count > known_count
