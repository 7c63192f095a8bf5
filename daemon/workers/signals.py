"""Signals as something to poll for: a handler that raises may do so where it is swallowed."""

import os
import signal
from collections.abc import Iterable


class Signals:
    """Takes these signals until it is closed. `fileno` is readable when one came."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self._numbers:
            signal.signal(number, _nothing)

    def fileno(self) -> int:
        """Give the descriptor to poll."""
        return self._read

    def take(self) -> set[int]:
        """Give those that came since the last time."""
        try:
            return set(os.read(self._read, 4096))
        except BlockingIOError:
            return set()

    def close(self) -> None:
        """Take no more: as a forked child must, or it would write to its parent's pipe."""
        signal.set_wakeup_fd(-1)
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)


def _nothing(_number: int, _frame: object) -> None:
    """Be a handler: without one the signal would have its default effect."""
