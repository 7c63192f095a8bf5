"""Listens while there is something to serve, and keeps within bounds whatever clients do."""

import logging
import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from afresh.assets.errors import SensorError
from afresh.daemon.api.stream import LocalStream, accept_forever
from afresh.daemon.http.refused import Refused
from afresh.sensors.hints import HINTS
from afresh.sensors.http_route import Route

if TYPE_CHECKING:
    from afresh.daemon.http.connection import Connection

DEFAULT = "127.0.0.1:8787"
MOST_CONNECTIONS = 256
MOST_BODY_BYTES = 64 << 20
"""Of all requests together: above it a client is told to come again."""
BACKLOG = 512
RETRY_SECONDS = 5
_log = logging.getLogger("afresh.http")


class HttpServer:
    """One address, many paths. `expected` gives the paths that there should be.

    Of those whose sensor is not running at the moment callers are told to come again.
    """

    def __init__(
        self,
        address: str,
        tasks: TaskGroup,
        *,
        now: Callable[[], float],
        expected: Callable[[], Collection[str]],
    ) -> None:
        self.stopping = False
        self.url = ""
        self._address = address or DEFAULT
        self._tasks = tasks
        self._now = now
        self._expected = expected
        self._routes: dict[str, Route] = {}
        self._connections: dict[Connection, None] = {}
        self._held = 0
        self._lock = anyio.Lock()

    @asynccontextmanager
    async def serving(self, path: str, route: Route) -> AsyncIterator[str]:
        """Serve a path meanwhile; gives the server's address. Raises SensorError."""
        await self.listen()
        if path in self._routes:
            raise SensorError(
                f"Expected a path of its own for each webhook, found {path!r} twice",
                hint="give one of the two another path",
            )
        self._routes[path] = route
        try:
            yield self.url
        finally:
            del self._routes[path]

    async def listen(self) -> None:
        """Listen from now on, if nobody does. Raises SensorError where that cannot be."""
        async with self._lock:
            if self.url:
                return
            host, _, port = self._address.rpartition(":")
            host = host.strip("[]")
            try:
                server = _bind(host, int(port))
            except OSError as error:
                raise SensorError(
                    f"Expected to listen at {self._address}, found {error.strerror or error}",
                    hint='choose another address: http = "127.0.0.1:8788" in afresh.toml',
                ) from error
            shown = f"[{host}]" if ":" in host else host
            self.url = f"http://{shown}:{server.getsockname()[1]}"
            self._tasks.start_soon(accept_forever, server, self._serve)

    def find(self, method: str, path: str) -> Route:
        """Give the route of a request. Raises Refused: 404, 405, 503."""
        if self.stopping:
            raise Refused(503, "afresh is stopping", Retry_After=str(RETRY_SECONDS))
        route = self._routes.get(path) or (hints_route() if path in HINTS else None)
        if route is None and path in self._expected():
            raise Refused(
                503, "Expected a running sensor, found it stopped", Retry_After=str(RETRY_SECONDS)
            )
        if route is None:
            raise Refused(404, "Expected the path of a webhook, found none")
        if method not in route.methods:
            allowed = ", ".join(sorted(route.methods))
            raise Refused(405, f"Expected {allowed}, found {method}", Allow=allowed)
        return route

    def hold(self, size: int) -> None:
        """Count the bytes of bodies. Raises Refused when they are too many."""
        if size > 0 and self._held + size > MOST_BODY_BYTES:
            raise Refused(503, "too many bodies at once", Retry_After="1")
        self._held += size

    async def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                await self._converse(client)
            except Exception:  # noqa: BLE001 - a fault of ours costs its connection: the client comes again
                _log.exception("a connection failed")

    async def _converse(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Lazy: h11 takes 2 MB, and most daemons serve nothing.
        from afresh.daemon.http.connection import Connection  # noqa: PLC0415

        connection = Connection(LocalStream(client), self, self._now)
        if len(self._connections) >= MOST_CONNECTIONS:
            self._make_room()
        self._connections[connection] = None
        try:
            await connection.run()
        finally:
            del self._connections[connection]

    def _make_room(self) -> None:
        """Cut off who waits longest without a request under way."""
        for connection in self._connections:
            if not connection.is_busy and not connection.scope.cancel_called:
                connection.scope.cancel()
                return


def hints_route() -> Route:
    """Give what answers the notifications of object stores."""
    # Lazy: only buckets that are told by webhook need it.
    from afresh.daemon.http.hints import ROUTE  # noqa: PLC0415

    return ROUTE


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        server.setblocking(False)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        server.listen(BACKLOG)
    except OSError:
        server.close()
        raise
    return server
