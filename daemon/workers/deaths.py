"""Why a worker that gave no answer ended, in words for the one whose run it was."""

import os
import signal

from afresh.daemon.workers.task import Failed

_LOGS = "`afresh logs` shows what it printed last"


def cause_of(status: int | None, *, out_of_memory: bool) -> Failed:
    """Explain a wait status; None: it is not known, since the process that forked it ended, too.

    `out_of_memory`: the kernel has killed some process for want of memory meanwhile.
    """
    if status is None:
        return Failed("killed", "the worker ended with the process that it was forked from")
    if os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        return Failed("exited", f"the process ended itself with exit code {code}", _LOGS)
    number = os.WTERMSIG(status)
    name = _name(number)
    if number == signal.SIGKILL and out_of_memory:
        return Failed(
            "memory",
            f"the kernel killed the worker for want of memory ({name})",
            "read fewer columns or partitions, or give the machine more memory",
        )
    if number == signal.SIGKILL:
        return Failed("killed", f"the worker was killed from outside ({name})", _LOGS)
    return Failed("killed", f"the worker crashed or was ended by {name}", _LOGS)


def timed_out(seconds: float) -> Failed:
    """Explain that an attempt took longer than it may."""
    return Failed(
        "timeout",
        f"it ran for more than {seconds:g} s and was ended",
        "make it faster, or raise timeout= in its declaration",
    )


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
