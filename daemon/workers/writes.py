"""Which files a function opens for writing, by Python's audit events: for finding loops.

What libraries write by themselves (Arrow, Polars) is not seen, nor what goes to other services.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MOST_PATHS = 100
_WRITES = os.O_WRONLY | os.O_RDWR


class _Watch:
    """The paths of the call that is being watched; None while none is."""

    def __init__(self) -> None:
        self.paths: set[str] | None = None
        self.installed = False

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Note what an audit event says of writing."""
        if self.paths is None or len(self.paths) >= MOST_PATHS:
            return
        if event == "open":
            path, _, flags = args
            if not flags & _WRITES:
                return
        elif event == "os.rename":
            path = args[1]
        else:
            return
        if isinstance(path, str | bytes):
            self.paths.add(os.path.realpath(os.fsdecode(path)))


_watch = _Watch()


@contextmanager
def watching(wanted: bool) -> Iterator[set[str]]:
    """Gather the real paths that are written meanwhile; nothing where that is not wanted."""
    found: set[str] = set()
    if not wanted:
        yield found
        return
    if not _watch.installed:
        sys.addaudithook(_watch.hear)
        _watch.installed = True
    _watch.paths = found
    try:
        yield found
    finally:
        _watch.paths = None
