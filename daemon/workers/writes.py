"""Which files and objects a function opens for writing: for finding loops.

Files by Python's audit events, objects by fsspec's way of opening them. What libraries write by
themselves (Arrow, Polars, boto3) is not seen, nor what goes to other services.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from afresh.sensors.buckets.url import PROTOCOLS, object_uri

MOST_PATHS = 100
_WRITES = os.O_WRONLY | os.O_RDWR


class _Watch:
    """The paths of the call that is being watched; None while none is."""

    def __init__(self) -> None:
        self.paths: set[str] | None = None
        self.installed = False
        self.stores = False

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Note what an audit event says of writing."""
        paths = self.paths  # a thread that is left behind may hear the end of the call
        if paths is None or len(paths) >= MOST_PATHS:
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
            paths.add(os.path.realpath(os.fsdecode(path)))

    def note_object(self, system: Any, path: Any) -> None:
        """Note an object that is opened for writing; files are heard of anyway."""
        if self.paths is None or len(self.paths) >= MOST_PATHS:
            return
        name = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
        protocol = PROTOCOLS.get(name, name)
        if protocol != "file":
            inside = str(system._strip_protocol(path)).lstrip("/")  # noqa: SLF001 - fsspec's own way
            self.paths.add(object_uri(protocol, inside))


_watch = _Watch()


def _watch_stores() -> None:
    """Have fsspec tell what is opened, once something has imported it."""
    spec = sys.modules.get("fsspec.spec")
    if spec is None or _watch.stores:
        return
    _watch.stores = True
    original = spec.AbstractFileSystem.open

    @wraps(original)
    def told(self: Any, path: Any, mode: str = "rb", *args: Any, **options: Any) -> Any:
        if mode[:1] in ("w", "a", "x"):
            _watch.note_object(self, path)
        return original(self, path, mode, *args, **options)

    spec.AbstractFileSystem.open = told


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
    _watch_stores()
    _watch.paths = found
    try:
        yield found
    finally:
        _watch.paths = None
