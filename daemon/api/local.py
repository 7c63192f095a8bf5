"""The daemon's end of the local socket: many clients, each may ask several things at once."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteStream, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from afresh.assets.errors import AfreshError, UsageError
from afresh.daemon.api.operations import OPERATIONS, perform
from afresh.daemon.api.stream import listen
from afresh.daemon.api.view import PROTOCOL, Controls, View
from afresh.daemon.api.wire import HEADER, decode, encode, fault, private_folder, size_of

_LOG = logging.getLogger("afresh.api")

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Requests:
    """How many requests are not answered yet; who follows waits for no answer."""

    def __init__(self) -> None:
        self.under_way = 0
        self._answered = anyio.Event()

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Count one meanwhile."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
            self._answered.set()
            self._answered = anyio.Event()

    async def answered(self) -> None:
        """Wait until none is left."""
        while self.under_way:
            await self._answered.wait()


async def serve(
    path: str,
    view: View,
    controls: Controls,
    requests: Requests,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Listen at `path` until cancelled; only who holds the lease may call this.

    A socket that a killed daemon left is replaced. Raises LedgerUnavailable where the folder is
    not ours.
    """
    private_folder(path)
    try:
        await listen(path, _Connections(view, controls, requests).handle, task_status=task_status)
    finally:
        # Not the one of a daemon that has come after us: the lease is still ours here.
        Path(path).unlink(missing_ok=True)  # noqa: ASYNC240 - one system call, at the end


class _Connections:
    """What all connections share."""

    def __init__(self, view: View, controls: Controls, requests: Requests) -> None:
        self._view = view
        self._controls = controls
        self._requests = requests

    async def handle(self, stream: ByteStream) -> None:
        """Serve one client until it goes; what it still waits for is then let go."""
        receive, lock = BufferedByteReceiveStream(stream), anyio.Lock()

        async def send(message: dict[str, Any]) -> None:
            frame = encode(message)
            async with lock:
                await stream.send(frame)

        async with stream:
            try:
                async with anyio.create_task_group() as group:
                    while True:
                        size = size_of(await receive.receive_exactly(HEADER))
                        group.start_soon(
                            self._answer, decode(await receive.receive_exactly(size)), send
                        )
            except* (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
                pass
            except* anyio.BrokenResourceError:
                pass
            except* (ValueError, RecursionError) as errors:
                _LOG.warning("a client sent what is no request: %s", errors.exceptions[0])

    async def _answer(self, message: Mapping[str, Any], send: Send) -> None:
        with nullcontext() if message.get("op") == "follow" else self._requests.asked():
            await self._reply(message, send)

    async def _reply(self, message: Mapping[str, Any], send: Send) -> None:
        """Answer one request; whatever goes wrong costs that request alone."""
        request = str(message.get("id", ""))
        try:
            answer = {"id": request, "result": await self._do(request, message, send)}
        except AfreshError as error:
            answer = {"id": request, **fault(error)}
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        except Exception as error:  # noqa: BLE001 - a fault in one answer ends no daemon
            _LOG.exception("the operation %s failed", message.get("op"))
            problem = AfreshError(
                f"Expected to do {message.get('op')!r}, found {type(error).__name__}: {error}",
                hint="this is a fault of afresh: the daemon's log has the details",
            )
            answer = {"id": request, **fault(problem)}
        await send(answer)

    async def _do(self, request: str, message: Mapping[str, Any], send: Send) -> Any:
        if message.get("protocol") != PROTOCOL:
            raise UsageError(
                f"Expected protocol {PROTOCOL}, found {message.get('protocol')!r}",
                hint="the command and the daemon are of different releases: restart the daemon",
            )
        op, params = str(message.get("op")), dict(message.get("params") or {})
        if op == "follow":
            return await self._follow(request, params, send)
        digest = message.get("definitions_digest")
        operation = OPERATIONS.get(op)
        if digest and operation and operation.change and digest != self._view.manifest.digest:
            await self._controls.reload(digest)
        return await perform(self._view, self._controls, op, {**params, "request": request})

    async def _follow(self, request: str, params: Mapping[str, Any], send: Send) -> None:
        """Stream the lines of one type ("event", "run"), or all; tells first that it listens."""
        wanted = params.get("type")

        async def stream(*, task_status: TaskStatus[None]) -> None:
            # Nothing is awaited between this and the first wait for a line: from there on all come.
            task_status.started()
            async for line in self._controls.subscribe():
                await heard.wait()
                if wanted is None or line.get("type") in (wanted, "missed"):
                    await send({"id": request, "line": line})

        heard = anyio.Event()
        async with anyio.create_task_group() as group:
            await group.start(stream)
            await send({"id": request, "line": {"type": "following"}})
            heard.set()
