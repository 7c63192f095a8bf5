"""The lock file of a state folder: held by the one daemon, and let go by the kernel if it dies."""

import fcntl
import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import NamedTuple

from afresh.assets.errors import LedgerUnavailable
from afresh.storage.ledger.filesystem import make_folder

LOCK_FILE = "daemon.lock"
_PATIENCE_SECONDS = 0.5
_PAUSE_SECONDS = 0.02


class Holder(NamedTuple):
    """Who holds the lock. `acquired_at` is in seconds since the epoch."""

    name: str
    pid: int
    host: str
    acquired_at: float
    socket: str = ""


class Lock:
    """A lock that is held; `release` lets it go, and so does the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let go, once; the file stays, so that nobody can lock one that is being removed."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def take(state: Path, holder: Holder) -> Lock:
    """Take the lock of a state folder.

    Waits half a second at most: a killed holder's descriptors may still be closing, and `is_held`
    looks by locking for an instant. Raises LedgerUnavailable that names the holder.
    """
    path = state / LOCK_FILE
    try:
        make_folder(state)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerUnavailable(
            f"Expected a folder that can be written, found {error.strerror}: {path}",
            hint="see that the folder of `state` in afresh.toml is yours",
        ) from error
    if not _locks(descriptor, fcntl.LOCK_EX, _PATIENCE_SECONDS):
        os.close(descriptor)
        raise _refusal(path, holder_of(state))
    # The name is a courtesy: on a full disk the lock holds without it.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder._asdict()).encode(), 0)
    return Lock(descriptor)


def holder_of(state: Path) -> Holder | None:
    """Return what the lock file says of its holder, who may be gone; None when it says nothing."""
    try:
        return Holder(**json.loads((state / LOCK_FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def is_held(state: Path) -> bool:
    """Whether a daemon holds the lock now; a lock file that cannot be opened counts as held."""
    try:
        descriptor = os.open(state / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not _locks(descriptor, fcntl.LOCK_SH, 0.0)
    finally:
        os.close(descriptor)


def _locks(descriptor: int, kind: int, patience_seconds: float) -> bool:
    pause = Event()
    for _ in range(1 + round(patience_seconds / _PAUSE_SECONDS)):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            pause.wait(_PAUSE_SECONDS if patience_seconds else 0.0)
        else:
            return True
    return False


def _refusal(path: Path, holder: Holder | None) -> LedgerUnavailable:
    if holder is None:
        return LedgerUnavailable(
            f"Expected to be the only daemon, found {path} locked", hint="`afresh stop` ends it"
        )
    return LedgerUnavailable(
        f"Expected to be the only daemon, found {holder.name} (pid {holder.pid} on {holder.host}, "
        f"since {_iso(holder.acquired_at)})",
        hint="`afresh stop` ends it",
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
