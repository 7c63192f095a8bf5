"""One generation as the daemon sees it: its server, its manifest, its workers."""

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import msgspec
from anyio.abc import TaskGroup

from afresh.assets.errors import WorkerError
from afresh.assets.manifest import Manifest
from afresh.daemon.workers import wire
from afresh.daemon.workers.link import Base
from afresh.daemon.workers.linux import kill_group
from afresh.daemon.workers.seat import Seat

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 18
_KILL_SECONDS = 2.0
_START_LOGS = 8


class Crew:
    """A generation server and its workers. `on_idle` and `on_end` tell the pool of a worker."""

    def __init__(
        self,
        plan: wire.Plan,
        log_dir: str,
        tasks: TaskGroup,
        on_idle: "Callable[[Crew, Seat], None]",
        on_end: "Callable[[Crew, Seat], None]",
    ) -> None:
        self.plan = plan
        self.log = os.path.join(log_dir, f"definitions-{plan.digest[:12]}.log")  # noqa: PTH118
        self.manifest: Manifest | None = None
        self.note = ""
        self.pid = 0
        self.seats: dict[int, Seat] = {}
        self.gone = False
        self.closing = False
        self.draining = False
        self.ready = anyio.Event()
        self._tasks = tasks
        self._on_idle = on_idle
        self._on_end = on_end
        self._logs = log_dir
        self._control, self.theirs = socket.socketpair()
        self._control.setblocking(False)
        self._frames = wire.Frames()
        self._next = 0

    @property
    def running(self) -> int:
        """How many workers are doing a task."""
        return sum(seat.state == "busy" for seat in self.seats.values())

    async def load(self, base: Base, within_seconds: float) -> Manifest:
        """Have a server forked that loads the definitions, and wait for their manifest.

        Raises WorkerError when that fails or takes longer; then nothing is left of it.
        """
        try:
            with anyio.fail_after(within_seconds):
                await base.load(self.plan, self.log, self.theirs)
                self.theirs.close()
                return await self._prepared()
        except TimeoutError:
            self.abort()
            raise WorkerError(
                f"Expected definitions to load in {within_seconds:g} s, found they did not",
                hint=f"a module hangs while it is imported; see {self.log}",
            ) from None
        except OSError as error:
            self.dispose()
            raise WorkerError(
                f"Expected the base process of the workers to answer, found: {error}",
                hint=f"see {base.log}",
            ) from error
        except WorkerError as error:
            self.abort()
            if not base.alive:
                error.hint = f"see {base.log}"
            raise
        except BaseException:
            self.abort()
            raise

    async def _prepared(self) -> Manifest:
        """Wait for the manifest. Raises WorkerError when the server fails or ends before."""
        while True:
            for message in await self._receive():
                match message:
                    case wire.Began(pid):
                        self.pid = pid
                    case wire.Prepared(manifest, note):
                        self.manifest = msgspec.msgpack.decode(manifest, type=Manifest)
                        self.note = note
                        self._forget_empty_log()
                        return self.manifest
                    case wire.Unloadable(error):
                        raise WorkerError(
                            f"Expected to load the definitions, found {error}", hint=self._hint()
                        )
                    case _:
                        pass
            if self.gone:
                raise WorkerError(
                    "Expected to load the definitions, found that their import ended the process",
                    hint=self._hint(),
                )

    async def serve(self) -> None:
        """Take what the server says until it is gone; then so are its workers."""
        while not self.gone:
            for message in await self._receive():
                if isinstance(message, wire.Started) and message.seat in self.seats:
                    self.seats[message.seat].pid = message.pid
                elif isinstance(message, wire.Ended) and message.seat in self.seats:
                    self._ended(self.seats[message.seat], message.status)
        for seat in list(self.seats.values()):
            # The kernel ends them with their server; what they started is ended here.
            if seat.pid:
                kill_group(seat.pid)
            self._ended(seat, None)

    def fork(self) -> Seat | None:
        """Ask for one more worker; None when the server is gone."""
        self._next += 1
        seat = Seat(self._next, self._is_idle)
        # What it prints before its first task; there is no such file when all is well.
        name = f"worker-start-{self._next % _START_LOGS}.log"
        seat.output.begin(os.path.join(self._logs, name))  # noqa: PTH118
        fds = (seat.theirs.fileno(), seat.output.write)
        sent = self._post(wire.Fork(seat.number), fds)
        seat.started()
        if not sent:
            seat.close()
            return None
        self.seats[seat.number] = seat
        self._tasks.start_soon(self._attend, seat)
        return seat

    def fill(self, size: int) -> None:
        """Have this many workers that go on after their task."""
        for _ in range(size - self.staff):
            if self.fork() is None:
                return

    @property
    def staff(self) -> int:
        """How many workers go on after their task."""
        return sum(not seat.retiring for seat in self.seats.values())

    def dismiss(self, seat: Seat) -> None:
        """End a worker that has nothing to do."""
        seat.retiring = True
        self.kill(seat)

    def kill(self, seat: Seat) -> None:
        """End a worker and all that it started.

        Its server does it: so the number cannot be another process's by then.
        """
        if seat.state != "ended":
            self._post(wire.Kill(seat.number))

    async def killed(self, seat: Seat) -> None:
        """Kill a worker and wait until it is gone; one that is not by then does no other task."""
        seat.retiring = True
        self.kill(seat)
        with anyio.move_on_after(_KILL_SECONDS):
            await seat.ended.wait()
        if seat.state != "ended" and seat.pid:
            # Its server does not answer.
            kill_group(seat.pid)
            with anyio.move_on_after(_KILL_SECONDS):
                await seat.ended.wait()

    def close(self) -> None:
        """Let the generation end: its server ends the workers when the daemon hangs up."""
        self.closing = True
        self._hang_up()

    def abort(self) -> None:
        """End a generation that does not come to an end of loading."""
        if self.pid:
            kill_group(self.pid)
        self.dispose()

    def dispose(self) -> None:
        """Give back what the daemon holds of it; twice does no harm."""
        self.gone = True
        self.ready.set()
        for seat in list(self.seats.values()):
            seat.end(None)
            seat.close()
        self.seats.clear()
        if self._control.fileno() >= 0:
            anyio.notify_closing(self._control)
        self._control.close()
        self.theirs.close()

    def _hang_up(self) -> None:
        try:
            self._control.shutdown(socket.SHUT_WR)
        except OSError:
            self.gone = True

    def _is_idle(self, seat: Seat) -> None:
        self.ready.set()
        self._on_idle(self, seat)

    async def _attend(self, seat: Seat) -> None:
        """Take a worker's output and answers for as long as it lives."""
        with seat.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(seat.output.drain)
                await seat.listen()
                # It ended, or user code closed or used its socket: then it cannot go on.
                self.kill(seat)

    def _ended(self, seat: Seat, status: int | None) -> None:
        del self.seats[seat.number]
        before = seat.state
        seat.end(status)
        if before != "busy":
            # Else by the one whose attempt it was.
            seat.close()
        self._on_end(self, seat)

    def _post(self, message: wire.ToGeneration, fds: tuple[int, ...] = ()) -> bool:
        if self.gone:
            return False
        try:
            socket.send_fds(self._control, [wire.encode(message)], fds)
        except OSError:
            # Gone, or so far behind that some hundred kilobytes are unread: no use either way.
            self._hang_up()
            return False
        return True

    async def _receive(self) -> list[wire.FromGeneration]:
        try:
            await anyio.wait_readable(self._control)
            data = self._control.recv(_CHUNK)
        except BlockingIOError:
            return []
        except (OSError, anyio.ClosedResourceError):
            data = b""
        if not data:
            self.gone = True
        try:
            return [wire.decode_from_generation(body) for body in self._frames.feed(data)]
        except msgspec.MsgspecError:
            # A module wrote to its socket: nothing that it says can be relied on.
            self.gone = True
            return []

    def _forget_empty_log(self) -> None:
        with suppress(OSError):
            if not os.path.getsize(self.log):  # noqa: PTH202
                os.unlink(self.log)  # noqa: PTH108

    def _hint(self) -> str:
        return f"see {self.log}"
