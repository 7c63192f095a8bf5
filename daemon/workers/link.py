"""The base process as the daemon sees it: started, asked for generations, ended."""

import os
import signal
import socket
import subprocess

import anyio

from afresh.daemon.workers import wire

_CLOSE_SECONDS = 2.0


class Base:
    """Starts `python -m afresh.daemon.workers.base` in a session of its own."""

    def __init__(self, python: str, log: str) -> None:
        self._python = python
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lock = anyio.Lock()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process; 0 before the first start."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start it, without waiting for it."""
        if self._control is not None:
            self._control.close()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._control = ours
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        log = os.open(self.log, flags, 0o600)
        number = theirs.fileno()
        command = [self._python, "-P", "-m", "afresh.daemon.workers.base"]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [*command, str(number), str(os.getpid())],
                pass_fds=(number,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # The order of sets is content: it must be the same in each generation.
                env={**os.environ, "PYTHONHASHSEED": "0"},
            )
        finally:
            os.close(log)
            theirs.close()

    async def load(self, plan: wire.Plan, log: str, control: socket.socket) -> None:
        """Ask for a generation server at the other end of `control`. Raises OSError: it is gone."""
        async with self._lock:
            if not self.alive:
                self.start()
            sock = self._control
            assert sock is not None
            frame = memoryview(wire.encode(wire.Load(plan, log)))
            fds = [control.fileno()]
            while frame:
                try:
                    sent = socket.send_fds(sock, [frame], fds) if fds else sock.send(frame)
                except BlockingIOError:
                    await anyio.wait_writable(sock)
                    continue
                fds = []
                frame = frame[sent:]

    async def end(self) -> None:
        """Hang up, and wait until it has ended everything."""
        if self._control is not None:
            self._control.close()
        process = self._process
        if process is None:
            return
        watched = os.pidfd_open(process.pid) if process.poll() is None else -1
        if watched >= 0:
            try:
                with anyio.move_on_after(_CLOSE_SECONDS):
                    await anyio.wait_readable(watched)
            finally:
                os.close(watched)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
        process.wait()
