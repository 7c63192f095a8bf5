"""What an attempt may leave behind in its process, and whether the next may find it there."""

# Descriptors, and folders of /proc, which pathlib has no words for:
# ruff: noqa: PTH208

import os
import random
import signal
import sys
import threading
from typing import Any

from afresh.daemon.workers.linux import end_children, resident_bytes

MOST_TASKS = 200
MOST_GROWTH_BYTES = 512 * 2**20
MOST_DESCRIPTORS = 64
_OF_LIBRARIES = ("fsspecIO",)


class Hygiene:
    """The state of a worker before its first task; `clean` leads back to it, or says why not."""

    def __init__(self) -> None:
        self._folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._environment = dict(os.environ)
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._path = list(sys.path)
        self._streams = (sys.stdout, sys.stderr, sys.stdin)
        self._output = (_identity(1), _identity(2))
        self._resident = resident_bytes()
        self._descriptors = len(os.listdir("/proc/self/fd"))
        self._signals = {n: signal.getsignal(n) for n in _SIGNALS}
        self.tasks = 0

    def prepare(self) -> None:
        """Make the randomness of this attempt its own: each fork inherits the same."""
        self.tasks += 1
        random.seed()
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(int.from_bytes(os.urandom(4), "little"))

    def clean(self) -> str:
        """Put back what can be put back; give the reason why the worker must not go on, or ""."""
        self._restore()
        if _has_children() and end_children():
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
        if resident_bytes() - self._resident > MOST_GROWTH_BYTES:
            return "it grew"
        if len(os.listdir("/proc/self/fd")) - self._descriptors > MOST_DESCRIPTORS:
            return "files were left open"
        return ""

    def _restore(self) -> None:
        os.fchdir(self._folder)
        os.umask(self._umask)
        if os.environ != self._environment:
            for name in os.environ.keys() - self._environment.keys():
                del os.environ[name]
            os.environ.update(self._environment)
        if sys.path != self._path:
            sys.path[:] = self._path
        sys.stdout, sys.stderr, sys.stdin = self._streams
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._signals.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD, signal.SIGUSR1)


def _identity(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
