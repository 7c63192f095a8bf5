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
    generations: set[int] = set()
    while True:
        ready = dict(poll.poll())
        if signals.fileno() in ready:
            if signal.SIGTERM in signals.take():
                return
            ended = generations & _reap()
            if ended:
                # What escaped from its workers, and is ours since it was killed itself.
                generations -= ended
                end_children(frozenset(generations))
        if control.fileno() in ready:
            received = wire.receive(control)
            if received is None:
                return
            body, fds = received
            pid = _fork(wire.decode_load(body), fds[0], control, signals)
            if pid:
                generations.add(pid)


def _fork(load: wire.Load, number: int, control: socket.socket, signals: Signals) -> int:
    """Fork a generation server; 0 where that cannot be."""
    for name in _wanted(load.plan.snapshot):
        try:
            import_module(name)
        except Exception:  # noqa: BLE001, S112 - told with its place when a module imports it
            continue
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        # No process or memory is left: what is loaded goes on.
        with socket.socket(fileno=number) as asked:
            wire.send(asked, wire.Unloadable(f"{type(error).__name__}: {error}"))
        return 0
    if pid:
        os.close(number)
        return pid
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


def _reap() -> set[int]:
    """Give the children that ended."""
    ended: set[int] = set()
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended.add(pid)


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
