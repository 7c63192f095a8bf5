"""One worker as the daemon sees it: its socket, its output, and what it is doing."""

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import anyio
import msgspec

from afresh.daemon.workers import wire
from afresh.daemon.workers.output import Output
from afresh.daemon.workers.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 18


class Seat:
    """A place for a worker, from its fork to its end. It is never taken by a second process."""

    def __init__(self, number: int, on_ready: "Callable[[Seat], None]") -> None:
        self.number = number
        self.warm = False
        self.pid = 0
        self.state: Literal["starting", "idle", "busy", "ended"] = "starting"
        self.status: int | None = None
        self.ended = anyio.Event()
        self.output = Output()
        self.retiring = False
        self.scope = anyio.CancelScope()
        self._on_ready = on_ready
        self._sock, self.theirs = socket.socketpair()
        self._sock.setblocking(False)
        self._answer: wire.Answer | None = None
        self._heard = anyio.Event()

    def started(self) -> None:
        """Close the worker's ends here, once they are on their way to it."""
        self.theirs.close()
        self.output.started()

    @property
    def hung_up(self) -> bool:
        """Whether the worker is gone, though its server has not said so yet."""
        try:
            return not self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def give(self, task: Task, log: str) -> None:
        """Have a task prepared; its output goes to `log`."""
        self.state = "busy"
        self._answer = None
        self._heard = anyio.Event()
        self.output.begin(log)
        await self._send(wire.encode_task(task))

    async def begin(self) -> wire.Answer | None:
        """Have the task that was given done; None when the worker ended instead."""
        await self._send(wire.GO)
        if self.state == "busy":
            await self._heard.wait()
        return self._answer

    def done(self) -> None:
        """End an attempt that was answered."""
        self.output.end()
        if self.state == "busy":
            self.state = "idle"

    async def listen(self) -> None:
        """Take what the worker says until it hangs up or says what makes no sense."""
        frames = wire.Frames()
        while True:
            try:
                await anyio.wait_readable(self._sock)
                data = self._sock.recv(_CHUNK)
                if not data:
                    return
                for body in frames.feed(data):
                    self._take(wire.decode_from_worker(body))
            except BlockingIOError:
                continue
            except (OSError, anyio.ClosedResourceError, msgspec.MsgspecError):
                return

    def end(self, status: int | None) -> None:
        """Note that the process is gone."""
        self.state = "ended"
        self.status = status
        self.ended.set()
        self._heard.set()

    def close(self) -> None:
        """Give back what the daemon holds of it; twice does no harm."""
        self.scope.cancel()
        if self._sock.fileno() >= 0:
            anyio.notify_closing(self._sock)
        self._sock.close()
        self.output.close()

    def _take(self, message: wire.FromWorker) -> None:
        if isinstance(message, wire.Ready):
            if self.state == "starting":
                self.state, self.warm = "idle", True
                self.output.end()
                self._on_ready(self)
            return
        self.retiring = self.retiring or bool(message.retire)
        self._answer = message
        self._heard.set()

    async def _send(self, frame: bytes) -> None:
        view = memoryview(frame)
        while view and self.state == "busy":
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                with suppress(anyio.ClosedResourceError):
                    await anyio.wait_writable(self._sock)
            except OSError:
                # It ended; how is told by the server that forked it.
                await self.ended.wait()
