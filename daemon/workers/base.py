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
from afresh.daemon.workers.signals import Signals

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
    signals = Signals((signal.SIGTERM, signal.SIGCHLD))
    end_with_parent(parent, signal.SIGTERM)
    adopt_orphans()
    control = socket.socket(fileno=number)
    control.set_inheritable(False)
    for name in DISTRIBUTIONS:
        import_module(name)
    import_module("afresh.daemon.workers.warm").load_backends()
    try:
        _serve(control, signals)
    finally:
        _end_all()
        # The interpreter would take 0.2 s to forget what it imported.
        os._exit(0)


def _serve(control: socket.socket, signals: Signals) -> None:
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(signals, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if signals.fileno() in ready:
            if signal.SIGTERM in signals.take():
                return
            _reap()
        if control.fileno() in ready:
            received = wire.receive(control)
            if received is None:
                return
            body, fds = received
            _fork(wire.decode_load(body), fds[0], control, signals)


def _fork(load: wire.Load, number: int, control: socket.socket, signals: Signals) -> None:
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
        signals.close()
        control.close()
        generation.main(load, number, parent)
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


def _end_all() -> None:
    """Ask the generations to end theirs; kill what is then still there."""
    for pid in children():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while children() and time.monotonic() < deadline:
        _reap()
        select.select([], [], [], 0.01)
    end_children()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
