"""Notifications of folders, from watchdog's inotify: a thread that only reads and queues.

Handlers of watchdog's observers fall behind in a burst and pair moves for 0.5 s; so its reader is
used beneath them, with the raw masks. One instance serves the whole process: instances are scarce.
"""

import errno
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import anyio
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from afresh.assets.partition import is_temporary
from afresh.sensors.folders.scan import Place

CLOSED = InotifyConstants.IN_CLOSE_WRITE
MOVED_IN = InotifyConstants.IN_MOVED_TO
CREATED = InotifyConstants.IN_CREATE
OPENED = InotifyConstants.IN_OPEN
GONE = InotifyConstants.IN_DELETE | InotifyConstants.IN_MOVED_FROM
SELF_GONE = (
    InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_UNMOUNT
    | InotifyConstants.IN_IGNORED
)
FOLDER = InotifyConstants.IN_ISDIR
OVERFLOW = InotifyConstants.IN_Q_OVERFLOW

_MASK = Mask(
    CLOSED
    | MOVED_IN
    | CREATED
    | OPENED
    | GONE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_EXCL_UNLINK
    | InotifyConstants.IN_ONLYDIR
)
_OPEN_AT_MOST = 100_000
QUEUED_AT_MOST = 200_000
"""More than so many events do not wait to be drained: what comes then is lost, as in the kernel."""
_LOST = InotifyEvent(WatchDescriptor(-1), OVERFLOW, 0, b"")

_REASONS = {
    errno.ENOSPC: "no notifications, scanned instead: raise fs.inotify.max_user_watches",
    errno.EMFILE: "no notifications, scanned instead: raise fs.inotify.max_user_instances",
    errno.ENOMEM: "no notifications, scanned instead: no memory for watches",
}


class Unwatchable(Exception):
    """The system gives no watch; the text says why, and the way out."""


class Note(NamedTuple):
    """Something happened to this path, or to the folder itself that it is: look at it."""

    path: str
    mask: int


class _Reader(InotifyFD):
    """watchdog's reader, which here calls nobody: it queues, and wakes once a batch."""

    def __init__(self, queue: deque[InotifyEvent], wake: Callable[[], None]) -> None:
        super().__init__()
        self.name = "afresh-inotify"
        self.broken = False
        self._is_full = False
        self._queue = queue
        self._wake = wake
        self._created: set[tuple[int, bytes]] = set()

    def run(self) -> None:
        """Read until stopped. If reading fails, what it would have told counts as lost."""
        while self.should_keep_running():
            try:
                events = [event for event in self.read_events() if self._matters(event)]
            except OSError:
                events = [_LOST]
                self.broken = True
            was_full, self._is_full = self._is_full, len(self._queue) >= QUEUED_AT_MOST
            if self._is_full:
                events = [] if was_full else [_LOST]
            self._queue.extend(events)
            if any(event.mask != OPENED for event in events):
                self._wake()
            if self.broken:
                return

    def on_event(self, event: InotifyEvent) -> None:
        """Nobody is called from the thread."""

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Nobody is called from the thread."""

    def on_queue_overflow(self) -> None:
        """Nobody is called from the thread."""

    def _matters(self, event: InotifyEvent) -> bool:
        """Of the many openings keep those of files just created: these are being written.

        Nothing of a temporary file: its events come just before the rename that is waited for.
        """
        if event.mask & InotifyConstants.IN_IGNORED:
            self.handle_event(event)  # watchdog's own books
        if event.mask & FOLDER:
            return not event.mask & OPENED
        if is_temporary(os.fsdecode(event.name)):
            return False
        place = (event.wd, event.name)
        if event.mask & OPENED:
            return place in self._created
        if event.mask & CREATED:
            if len(self._created) >= _OPEN_AT_MOST:
                self._created.clear()
            self._created.add(place)
        else:
            self._created.discard(place)
        return True


class Notifications:
    """Watches of folders. `watch` and `unwatch` may be called in any thread, others in the loop."""

    def __init__(self) -> None:
        self._queue: deque[InotifyEvent] = deque()
        self._signal = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._reader: _Reader | None = None
        self._reason = "no notifications, scanned instead: reading them failed"
        try:
            self._reader = _Reader(self._queue, self.wake)
            self._reader.start()
        except OSError as error:
            self._reason = _reason(error) or f"no notifications, scanned instead: {error}"
        self._paths: dict[int, dict[str, CallbackId]] = {}
        self._watched: dict[str, tuple[WatchDescriptor, Place | None]] = {}
        self._ids = itertools.count()

    def watch(self, folder: str, place: Place) -> None:
        """Watch a folder, which is that place; nothing if it is watched already.

        Raises Unwatchable when the system gives no watch, OSError if the folder cannot be watched.
        """
        reader = self._reader
        if reader is None or reader.broken:
            raise Unwatchable(self._reason)
        with self._lock:
            known = self._watched.get(folder)
            if known is not None and known[1] == place:
                return
            if known is not None:
                self._forget(folder)
            number = CallbackId(next(self._ids))
            try:
                wd = reader.add_callback(os.fsencode(folder), _MASK, reader, number)
            except OSError as error:
                if reason := _reason(error):
                    raise Unwatchable(reason) from error
                raise
            if wd < 0:  # watchdog passes over EACCES
                reader.remove_callbacks([(wd, number)])
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
            self._watched[folder] = (wd, place)
            self._paths.setdefault(wd, {})[folder] = number

    def unwatch(self, folder: str) -> None:
        """Stop watching a folder and all below it."""
        with self._lock:
            below = folder + "/"
            for path in [p for p in self._watched if p == folder or p.startswith(below)]:
                self._forget(path)

    def keep(self, is_needed: Callable[[str], bool]) -> None:
        """Stop watching the folders that are not needed."""
        with self._lock:
            for path in [p for p in self._watched if not is_needed(p)]:
                self._forget(path)

    async def wait(self) -> None:
        """Return when there may be something to drain, or after `wake`."""
        await anyio.wait_readable(self._signal)
        try:
            os.eventfd_read(self._signal)
        except BlockingIOError:
            return

    def wake(self) -> None:
        """Make `wait` return; from any thread."""
        os.eventfd_write(self._signal, 1)

    def drain(self, limit: int) -> list[Note]:
        """Take at most `limit` notes, in order. A note with OVERFLOW says that some were lost."""
        notes: list[Note] = []
        queue = self._queue
        with self._lock:
            while queue and len(notes) < limit:
                event = queue.popleft()
                if event.mask & OVERFLOW:
                    # That a watch ended may be lost too: each is made anew by the next scan.
                    self._watched = {path: (wd, None) for path, (wd, _) in self._watched.items()}
                    notes.append(Note("", event.mask))
                    continue
                folders = tuple(self._paths.get(event.wd, ()))
                if event.mask & InotifyConstants.IN_IGNORED:
                    for folder in folders:
                        self._watched.pop(folder, None)
                    self._paths.pop(event.wd, None)
                name = os.fsdecode(event.name)
                notes.extend(
                    Note(f"{folder}/{name}" if name else folder, event.mask) for folder in folders
                )
        return notes

    def close(self) -> None:
        """Stop the thread and give the watches back."""
        if self._reader is not None:
            self._reader.stop()
            self._reader.join()
        os.close(self._signal)

    def _forget(self, folder: str) -> None:
        wd, _ = self._watched.pop(folder)
        number = self._paths[wd].pop(folder)
        if not self._paths[wd]:
            del self._paths[wd]
        if self._reader is not None:
            self._reader.remove_callbacks([(wd, number)])


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, "")
