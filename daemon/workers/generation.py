"""A generation server: loads the definitions, hands back the manifest, forks workers.

Single-threaded but for what the definitions start; then it does not fork (a fork would hold that
thread's locks for ever) but executes workers that load the definitions themselves.
"""

import gc
import os
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module

import msgspec

from afresh.daemon.workers import wire
from afresh.daemon.workers.linux import (
    FOREIGN_THREADS,
    adopt_orphans,
    end_children,
    end_with_parent,
    kill_group,
    thread_names,
)
from afresh.daemon.workers.live import Loaded
from afresh.daemon.workers.signals import Signals
from afresh.daemon.workers.threads import ThreadWatch
from afresh.daemon.workers.worker import load_plan, work

_NOT_STARTED = 1 << 8
"""A wait status: exit code 1."""


def main(load: wire.Load, number: int, parent: int) -> None:
    """Serve one generation until the daemon closes the control socket or the base ends."""
    os.setsid()
    # While user code is imported nothing may hold this process back.
    end_with_parent(parent)
    adopt_orphans()
    control = socket.socket(fileno=number)
    _redirect(load.log)
    os.chdir(load.plan.project)
    wire.send(control, wire.Began(os.getpid()))
    with ThreadWatch(load.plan.snapshot) as watch:
        try:
            loaded = load_plan(load.plan)
        except Exception as error:  # noqa: BLE001 - told to the daemon; the traceback is in the log
            sys.excepthook(*sys.exc_info())
            wire.send(control, wire.Unloadable(f"{type(error).__name__}: {error}"))
            return
    note = watch.explain() if _has_threads() else ""
    _import_clients(loaded)
    # A module may have it ignored: then no worker would leave a status to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signals = Signals((signal.SIGTERM,))
    server = _Server(control, signals, load.plan, loaded, executes=bool(note))
    end_with_parent(parent, signal.SIGTERM)
    gc.collect()
    gc.freeze()
    wire.send(control, wire.Prepared(msgspec.msgpack.encode(loaded.manifest), note))
    try:
        server.serve()
    finally:
        server.end_all()


def _import_clients(loaded: Loaded) -> None:
    """Import what each worker would at its first object: 0.3 s and 35 MB, of which they share most.

    Clients of other stores start threads or gRPC when they are imported.
    """
    if any(each.sensor.options.get("protocol") == "s3" for each in loaded.manifest.sources):
        with suppress(ImportError):  # its sensor says what is to be installed
            import_module("s3fs")


class _Server:
    """Forks workers and tells how they end."""

    def __init__(
        self,
        control: socket.socket,
        signals: Signals,
        plan: wire.Plan,
        loaded: Loaded,
        *,
        executes: bool,
    ) -> None:
        self.control = control
        self.signals = signals
        self.plan = plan
        self.loaded = loaded
        self.executes = executes
        self.workers: dict[int, int] = {}  # seat -> pid
        self.watched: dict[int, int] = {}  # pidfd -> seat
        self.poll = select.poll()

    def serve(self) -> None:
        """Take requests and notice ends until the daemon hangs up."""
        self.poll.register(self.control, select.POLLIN)
        self.poll.register(self.signals, select.POLLIN)
        while True:
            for number, _ in self.poll.poll():
                if number in self.watched:
                    self._ended(number)
                elif number == self.signals.fileno() or not self._request():
                    return

    def end_all(self) -> None:
        """Kill the workers, their groups and what escaped from those."""
        for pid in self.workers.values():
            kill_group(pid)
        end_children()

    def _request(self) -> bool:
        received = wire.receive(self.control)
        if received is None:
            return False
        body, fds = received
        match wire.decode_to_generation(body):
            case wire.Fork(seat):
                self._start(seat, *fds)
            case wire.Kill(seat) if seat in self.workers:
                kill_group(self.workers[seat])
            case _:
                pass
        return True

    def _start(self, seat: int, tasks: int, output: int) -> None:
        try:
            pid = self._execute(tasks, output) if self.executes else self._fork(tasks, output)
        except OSError as error:
            # No process or memory is left: the others go on, this one is asked for again.
            os.write(output, f"Expected to start a worker, found: {error}\n".encode())
            wire.send(self.control, wire.Ended(seat, _NOT_STARTED))
            return
        finally:
            os.close(tasks)
            os.close(output)
        watched = os.pidfd_open(pid)
        self.workers[seat] = pid
        self.watched[watched] = seat
        self.poll.register(watched, select.POLLIN)
        wire.send(self.control, wire.Started(seat, pid))

    def _fork(self, tasks: int, output: int) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            self.signals.close()
            self.control.close()
            for watched in self.watched:
                os.close(watched)
            work(self.loaded, self.plan, parent, tasks, output)
        except BaseException:  # noqa: BLE001 - it must not go on as a second server
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)

    def _execute(self, tasks: int, output: int) -> int:
        plan = msgspec.json.encode(self.plan).decode()
        command = [
            *(sys.executable, "-P", "-m", "afresh.daemon.workers.worker"),
            *(plan, str(os.getpid()), str(tasks), str(output)),
        ]
        os.set_inheritable(tasks, True)
        os.set_inheritable(output, True)
        return os.posix_spawn(sys.executable, command, os.environ)

    def _ended(self, watched: int) -> None:
        seat = self.watched.pop(watched)
        pid = self.workers.pop(seat)
        # Not yet reaped, so that the group's number is still its own.
        kill_group(pid)
        status = os.waitpid(pid, 0)[1]
        self.poll.unregister(watched)
        os.close(watched)
        end_children(frozenset(self.workers.values()))
        wire.send(self.control, wire.Ended(seat, status))


def _has_threads() -> bool:
    if threading.active_count() > 1:
        return True
    return any(name.startswith(FOREIGN_THREADS) for name in thread_names())


def _redirect(log: str) -> None:
    """Send what definitions print while they are imported to a log of their own."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    output = os.open(log, flags, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
