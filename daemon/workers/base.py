"""The base process: imports the distributions once, then forks a generation server on request.

Single-threaded, and runs no code of the project. Started by the pool as
`python -P -m afresh.daemon.workers.base FD`.
"""

import os
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from afresh.daemon.workers import generation, wire
from afresh.daemon.workers.linux import adopt_orphans, children, end_children, end_with_parent

DISTRIBUTIONS = (
    *("numpy", "pandas", "pyarrow.parquet", "pyarrow.csv"),
    *("pandera.pandas", "fsspec.implementations.local", "blake3"),
    *("afresh.daemon.workers.definitions", "afresh.daemon.workers.worker"),
)
_POLARS = ("polars", "pandera.polars")
_IMPORTS_POLARS = re.compile(rb"^\s*(import|from)\s+(polars|pandera\.polars)\b", re.MULTILINE)
_GRACE_SECONDS = 0.5


def main(number: int, parent: int) -> None:
    """Serve the daemon's requests until it is gone; then see that everything ends."""
    end_with_parent(parent, signal.SIGTERM)
    adopt_orphans()
    control = socket.socket(fileno=number)
    control.set_inheritable(False)
    signal.signal(signal.SIGTERM, _stop)
    for name in DISTRIBUTIONS:
        import_module(name)
    import_module("afresh.daemon.workers.warm").load_backends()
    try:
        _serve(control)
    finally:
        _end_all()
        # The interpreter would take 0.2 s to forget what it imported.
        os._exit(0)


def _serve(control: socket.socket) -> None:
    wake, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(written)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if wake in ready:
            os.read(wake, 4096)
            _reap()
        if control.fileno() in ready:
            received = wire.receive(control)
            if received is None:
                return
            body, fds = received
            _fork(wire.decode_load(body), fds[0], (control.fileno(), wake, written))


def _fork(load: wire.Load, number: int, ours: tuple[int, ...]) -> None:
    for name in _wanted(load.plan.snapshot):
        try:
            import_module(name)
        except ImportError:
            # It is said with its place when the module that imports it is loaded.
            continue
    parent = os.getpid()
    if os.fork():
        os.close(number)
        return
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for descriptor in ours:
            os.close(descriptor)
        generation.main(load, number, parent)
        code = 0
    except SystemExit:
        code = 0
    except BaseException:  # noqa: BLE001 - it must not go on as a second base
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wanted(snapshot: str) -> Iterator[str]:
    """Name what only some projects need: polars cannot be imported by each worker in time."""
    if "polars" in sys.modules:
        return
    for path in Path(snapshot).rglob("*.py"):
        if _IMPORTS_POLARS.search(path.read_bytes()):
            yield from _POLARS
            return


def _reap() -> None:
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _end_all() -> None:
    """Ask the generations to end theirs; kill what is then still there."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for pid in children():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while children() and time.monotonic() < deadline:
        _reap()
        select.select([], [], [], 0.01)
    end_children()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
