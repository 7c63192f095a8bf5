"""Other processes, as /proc shows them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, AnyStr

if TYPE_CHECKING:
    import subprocess


@contextmanager
def within_block(process: "subprocess.Popen[AnyStr]") -> Iterator["subprocess.Popen[AnyStr]"]:
    """Have a process meanwhile: killed at the end, as leaving a Popen waits for it for ever."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def is_alive(pid: int) -> bool:
    """Say whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def outliving(pids: list[int], seconds: float) -> list[int]:
    """Wait until all have ended, so long at most; give those that have not."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return left


def with_descendants(pid: int) -> list[int]:
    """List a process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all threads, in seconds at nanosecond resolution."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_mib(pid: int, kind: str) -> float:
    """Memory of a process in MiB; `kind` is `Rss` or `Pss`."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(kind)
