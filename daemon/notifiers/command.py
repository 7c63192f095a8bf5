"""Runs a command for each alert: the alert as JSON on its standard input, no shell in between."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from string import Template
from subprocess import DEVNULL, PIPE

import anyio
import msgspec
from anyio.abc import Process

from afresh.daemon.notifiers.base import Alert, Notifier, NotifierError

_SHOWN_BYTES = 500
_DRAIN_SECONDS = 0.5


class CommandNotifier(Notifier):
    """Runs `command`: `$subject $state $error $owner $summary $key $at` are filled in.

    `["mail", "-s", "$summary", "$owner"]` mails the asset's owner. A value never becomes more than
    one argument. The command has `timeout_seconds`; then its process group is killed.
    """

    def __init__(self, command: Sequence[str], *, timeout_seconds: float = 30.0) -> None:
        if not command or isinstance(command, str):
            raise NotifierError(
                f"Expected a command as a list of arguments, found {command!r}",
                hint='for example ["mail", "-s", "$summary", "$owner"]',
            )
        self.command = tuple(Template(part) for part in command)
        self.timeout_seconds = timeout_seconds

    async def notify(self, alert: Alert) -> None:
        """Run the command and wait for it. Raises NotifierError unless it ends with 0 in time."""
        content = alert.to_json()
        values = {name: _argument(value) for name, value in content.items() if name != "why"}
        argv = [part.safe_substitute(values) for part in self.command]
        try:
            # A group of its own: what the command started is killed with it.
            process = await anyio.open_process(
                argv, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, start_new_session=True
            )
        except OSError as error:
            raise NotifierError(
                f"Expected the command {argv[0]!r} to start, found {error.strerror}",
                hint="check the path and its permissions",
            ) from error
        try:
            with anyio.fail_after(self.timeout_seconds):
                status, said = await _converse(process, msgspec.json.encode(content) + b"\n")
        except TimeoutError:
            raise NotifierError(
                f"Expected {argv[0]!r} to end within {self.timeout_seconds:g} s, found it running"
            ) from None
        finally:
            await _end(process)
        if status != 0:
            detail = said.decode(errors="replace").strip()
            raise NotifierError(f"Expected {argv[0]!r} to exit with 0, found {status}: {detail}")


def _argument(value: object) -> str:
    """One argument of a command: no NUL, which no argument can hold."""
    return str(value).replace("\0", "")


async def _converse(process: Process, message: bytes) -> tuple[int, bytes]:
    """Write the message and wait; the exit status, and the first bytes of what it complained of."""
    said = bytearray()
    drained = anyio.Event()

    async def write() -> None:
        assert process.stdin is not None
        # A command need not read what it is given.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await process.stdin.send(message)
        await process.stdin.aclose()

    async def read() -> None:
        assert process.stderr is not None
        async for piece in process.stderr:
            said.extend(piece[: max(0, _SHOWN_BYTES - len(said))])
        drained.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        tasks.start_soon(read)
        status = await process.wait()
        # What it left in the background may hold its output open: not waited for, not killed.
        with anyio.move_on_after(_DRAIN_SECONDS):
            await drained.wait()
        tasks.cancel_scope.cancel()
    return status, bytes(said)


async def _end(process: Process) -> None:
    """Kill the process group of a command that is still running, and collect it."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with anyio.CancelScope(shield=True), anyio.move_on_after(_DRAIN_SECONDS):
        await process.aclose()
