"""Appends events to a file, a line each, synced: for another daemon on this machine, or a shipper.

What a crash left of a line is cut off: that event was not acknowledged, and comes again.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from afresh.daemon.outgoing.base import Delivered

_LOOK_BACK = 64 << 10


class FileTarget:
    """One file of JSON Lines; it may be moved away, then the next is begun."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def deliver(self, events: Sequence[bytes]) -> Delivered:
        """Append and sync."""
        try:
            await anyio.to_thread.run_sync(self._append, events)
        except OSError as error:
            return Delivered(0, f"Expected to write {str(self._path)!r}, found {error.strerror}")
        return Delivered(len(events))

    async def aclose(self) -> None:
        """Nothing is kept open."""

    def _append(self, events: Sequence[bytes]) -> None:
        is_new = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        with open(os.open(self._path, flags, 0o644), "r+b") as file:  # noqa: PTH123 - a descriptor
            end = _whole_lines(file.fileno())
            file.truncate(end)
            file.seek(end)
            file.write(b"".join(event + b"\n" for event in events))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _whole_lines(descriptor: int) -> int:
    """Give where the last whole line ends."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _LOOK_BACK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
