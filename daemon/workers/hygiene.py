"""What an attempt may leave behind in its process, and whether the next may find it there."""

# Descriptors, and folders of /proc, which pathlib has no words for:
# ruff: noqa: PTH208

import os
import random
import resource
import signal
import sys
import threading
from typing import Any

from afresh.daemon.workers.linux import children, end_children, resident_bytes

MOST_TASKS = 1000
"""A new worker costs 100 ms to fork and warm: every thousandth task, that is nothing."""
MOST_GROWTH_BYTES = 512 * 2**20
MOST_DESCRIPTORS = 64
_SELDOM = 16
_OF_LIBRARIES = ("fsspecIO", "asyncio_")
"""Of fsspec: the thread that talks to stores, and those that look names up for it."""


class Hygiene:
    """The state of a worker before its first task; `clean` leads back to it, or says why not."""

    def __init__(self) -> None:
        self._folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._environment = dict(_raw_environment())
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._path = list(sys.path)
        self._streams = (sys.stdout, sys.stderr, sys.stdin)
        self._output = (_identity(1), _identity(2))
        self._resident = resident_bytes()
        self._peak = _peak_bytes()
        self._descriptors = len(os.listdir("/proc/self/fd"))
        self._signals = {n: signal.getsignal(n) for n in _SIGNALS}
        self._children = frozenset(children())
        self.tasks = 0

    def prepare(self) -> None:
        """Make the randomness of this attempt its own: each fork inherits the same."""
        self.tasks += 1
        random.seed(os.urandom(16))
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(int.from_bytes(os.urandom(4), "little"))

    def clean(self) -> str:
        """Put back what can be put back; give the reason why the worker must not go on, or ""."""
        if not self._restore():
            return "its output was closed"
        if _has_children() and end_children(self._children):
            return "processes were left running"
        # What is left of Python threads cannot be ended, only left behind.
        leaked = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        leaked = [name for name in leaked if not name.startswith(_OF_LIBRARIES)]
        if leaked:
            return f"threads were left running: {', '.join(leaked[:5])}"
        if (_identity(1), _identity(2)) != self._output:
            return "its output was redirected"
        if self.tasks >= MOST_TASKS:
            return f"it did {self.tasks} tasks"
        if self._has_grown():
            return "it grew"
        if self.tasks % _SELDOM:
            return ""
        if len(os.listdir("/proc/self/fd")) - self._descriptors > MOST_DESCRIPTORS:
            return "files were left open"
        return ""

    def _has_grown(self) -> bool:
        # The peak is asked for 10 times as fast, and only where it rose is there anything to see.
        peak = _peak_bytes()
        if peak - self._peak <= MOST_GROWTH_BYTES:
            return False
        return resident_bytes() - self._resident > MOST_GROWTH_BYTES

    def _restore(self) -> bool:
        os.fchdir(self._folder)
        os.umask(self._umask)
        if _raw_environment() != self._environment:
            before = {os.fsdecode(k): os.fsdecode(v) for k, v in self._environment.items()}
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)
        if sys.path != self._path:
            sys.path[:] = self._path
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._signals.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        sys.stdout, sys.stderr, sys.stdin = self._streams
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            return False
        return True


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD, signal.SIGUSR1)


def _raw_environment() -> dict[bytes, bytes]:
    """Give the environment as it is kept: comparing it decoded takes 30 microseconds."""
    raw: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001
    return raw


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _identity(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _has_children() -> bool:
    """Tell whether any are running; what ended and was not waited for is reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
