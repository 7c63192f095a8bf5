"""A socket as a byte stream, by waiting for readiness.

anyio's own stream of a UNIX socket may be told twice that it is readable when the loop is busy, and
then reports an InvalidStateError in the log; `wait_readable` knows of it.
"""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
from anyio.abc import ByteStream, TaskStatus

BACKLOG = 128
RETRY_SECONDS = 0.1
_LOG = logging.getLogger("afresh.api")


class LocalStream(ByteStream):
    """One connection. It is not shared by several readers."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Wait for some bytes. Raises EndOfStream, BrokenResourceError."""
        while True:
            await anyio.wait_readable(self._socket)
            try:
                data = self._socket.recv(max_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise anyio.BrokenResourceError from error
            if not data:
                raise anyio.EndOfStream
            return data

    async def send(self, item: bytes) -> None:
        """Send all of it. Raises BrokenResourceError where the client is gone."""
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
            except OSError as error:
                raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        """Say that nothing more comes."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Close; whoever waits for it is told."""
        anyio.notify_closing(self._socket)
        self._socket.close()


async def listen(
    path: str,
    handle: Callable[[ByteStream], Awaitable[None]],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve connections at a path until cancelled; a socket that is there is replaced."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as server:
        server.setblocking(False)
        _bind(server, path)
        server.listen(BACKLOG)
        task_status.started()

        async def serve(connection: socket.socket) -> None:
            await handle(LocalStream(connection))

        await accept_forever(server, serve)


async def accept_forever(
    server: socket.socket, serve: Callable[[socket.socket], Coroutine[Any, Any, None]]
) -> None:
    """Take connections until cancelled, each served in a task of its own; closes the socket."""
    async with anyio.create_task_group() as tasks:
        with server:
            while True:
                await anyio.wait_readable(server)
                try:
                    connection, _ = server.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                except OSError as error:
                    # No file descriptor is free: a client waits, the daemon goes on.
                    _LOG.warning("cannot take a connection: %s", error)
                    await anyio.sleep(RETRY_SECONDS)
                    continue
                tasks.start_soon(serve, connection)


def _bind(server: socket.socket, path: str) -> None:
    """Take the name; nobody but us may connect from the first moment on."""
    if os.path.lexists(path):
        os.unlink(path)  # noqa: PTH108 - names need not be UTF-8
    before = os.umask(0o177)
    try:
        server.bind(path)
    finally:
        os.umask(before)
