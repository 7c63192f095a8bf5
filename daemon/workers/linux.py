"""What Linux offers to keep processes in hand, and Python's library does not."""
# Paths are strings: these are read after each task.
# ruff: noqa: PTH123, PTH208

import ctypes
import os
import signal
from collections.abc import Iterator

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_PAGE = os.sysconf("SC_PAGESIZE")

FOREIGN_THREADS = ("polars-", "tokio-rt", "async-executor")
"""Names of native threads that a fork would leave behind with their locks held."""


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel signal this process when `parent` ends; end at once if it already has."""
    _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose parents end, so that none goes astray."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> list[int]:
    """Give the processes whose parent is this one."""
    found: list[int] = []
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children", "rb") as file:
                found.extend(map(int, file.read().split()))
        except OSError:
            # The thread ended meanwhile, or a kernel without this file: then nothing is known.
            continue
    return found


def end_children(spare: frozenset[int] = frozenset()) -> int:
    """Kill and reap all descendants but `spare`; give how many. This process must adopt orphans."""
    ended = 0
    for _ in range(100):
        pids = [pid for pid in children() if pid not in spare]
        if not pids:
            break
        for pid in pids:
            kill(pid)
            reap(pid)
            ended += 1
    return ended


def kill(pid: int) -> None:
    """Kill one process, if it is still there and ours."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return


def kill_group(pid: int) -> None:
    """Kill a process and all of its group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        kill(pid)


def reap(pid: int) -> int | None:
    """Wait for a killed child; give its wait status, None if somebody else has it."""
    try:
        return os.waitpid(pid, 0)[1]
    except OSError:
        return None


def resident_bytes() -> int:
    """Give the resident memory of this process."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE


def thread_names() -> Iterator[str]:
    """Name the threads of this process but the first, native ones too."""
    for thread in os.listdir("/proc/self/task"):
        if int(thread) != os.getpid():
            try:
                with open(f"/proc/self/task/{thread}/comm") as file:
                    yield file.read().strip()
            except OSError:
                continue


def oom_kills() -> int:
    """Give how often the kernel has killed for want of memory; 0 if it does not say."""
    try:
        with open("/proc/vmstat", "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def memory_bytes() -> int:
    """Give how much memory there is: the machine's, or less where a control group says so."""
    limit = os.sysconf("SC_PHYS_PAGES") * _PAGE
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():
            limit = min(limit, int(text))
    return limit


def offer_to_oom_killer() -> None:
    """Let the kernel take this process before the daemon when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        return
