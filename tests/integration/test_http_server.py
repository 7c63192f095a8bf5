"""The daemon's HTTP server against clients that do harm, over real sockets."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from afresh.assets.errors import SensorError
from afresh.daemon.http import connection, server
from afresh.daemon.http.server import HttpServer
from afresh.sensors.http_route import HttpRequest, HttpResponse, Route
from support.watching import clock, until


class Served:
    def __init__(self, http: HttpServer) -> None:
        self.http = http
        self.requests: list[HttpRequest] = []
        self.hold: anyio.Event | None = None

    async def answer(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        if self.hold is not None:
            await self.hold.wait()
        return HttpResponse(202, {"bytes": len(request.body)})

    async def connect(self) -> SocketStream:
        host, _, port = self.http.url.removeprefix("http://").rpartition(":")
        return await anyio.connect_tcp(host, int(port))

    async def ask(self, data: bytes) -> bytes:
        """Send, and read until the server closes."""
        async with await self.connect() as stream:
            await stream.send(data)
            return await read_all(stream)


async def read_all(stream: SocketStream) -> bytes:
    data = b""
    with anyio.fail_after(60):
        while True:
            try:
                data += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return data


def post(body: bytes = b"{}", path: str = "/hook", rest: str = "Connection: close\r\n") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{rest}\r\n"
    return head.encode() + body


@asynccontextmanager
async def serving(address: str = "127.0.0.1:0", max_bytes: int = 1000) -> AsyncIterator[Served]:
    async with anyio.create_task_group() as tasks:
        http = HttpServer(address, tasks, now=clock, expected=lambda: {"/hook", "/resting"})
        served = Served(http)
        async with http.serving("/hook", Route(served.answer, max_bytes)) as url:
            assert url == http.url
            yield served
        tasks.cancel_scope.cancel()


async def test_requests_are_answered_one_after_the_other() -> None:
    async with serving() as served, await served.connect() as stream:
        chunked = b"POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        await stream.send(post(b"12345", rest="X-A: 1\r\n") + chunked)
        await stream.send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        await stream.send(post(b"last", path="/hook?a=1"))
        answers = await read_all(stream)
        assert answers.count(b"HTTP/1.1 202") == 3
        assert [request.body for request in served.requests] == [b"12345", b"abcde", b"last"]
        assert served.requests[0].headers["x-a"] == "1"
        assert (served.requests[2].path, served.requests[2].query) == ("/hook", "a=1")


async def test_a_client_that_asks_before_it_sends_is_told_to() -> None:
    async with serving() as served, await served.connect() as stream:
        await stream.send(
            b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert b"100" in await stream.receive()
        await stream.send(b"{}")
        assert b"202" in await read_all(stream)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(path="/other"), b"404"),
        (post(path="/resting"), b"503"),
        (b"GET /hook HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (post(b"x" * 1001), b"413"),
        (b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999\r\n\r\n", b"413"),
        (
            b"POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"400\r\n" + b"x" * 1024 + b"\r\n",
            b"413",
        ),
        (b"garbage\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /hook HTTP/1.1\r\nX: " + b"a" * 20000, b"431"),
        (b"POST /hook HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"431"),
    ],
)
async def test_what_cannot_be_is_refused_and_others_go_on(request_: bytes, status: bytes) -> None:
    async with serving() as served:
        assert (await served.ask(request_)).startswith(b"HTTP/1.1 " + status)
        assert not served.requests
        assert (await served.ask(post())).startswith(b"HTTP/1.1 202")


async def test_a_daemon_that_stops_takes_nothing_more() -> None:
    async with serving() as served:
        served.http.stopping = True
        answer = await served.ask(post())
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 5" in answer


async def test_a_slow_client_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.2)
    async with serving() as served:
        assert await served.ask(b"") == b""
        assert (await served.ask(b"POST /hook HT")).startswith(b"HTTP/1.1 408")
        assert (await served.ask(post(b"x" * 10)[:-1])).startswith(b"HTTP/1.1 408")
        # A byte now and then is no help.
        async with await served.connect() as stream:
            with anyio.fail_after(60):
                try:
                    for byte in post(b"x" * 900):
                        await stream.send(bytes([byte]))
                        await anyio.sleep(0.005)
                except anyio.BrokenResourceError:
                    pass
        assert not served.requests
        await until(lambda: not served.http._connections)
        assert served.http._held == 0


async def test_cut_connections_leave_nothing() -> None:
    async with serving() as served:
        served.hold = anyio.Event()
        whole = post(b"x" * 100)
        for size in (0, 1, 10, len(whole) - 1, len(whole)):
            stream = await served.connect()
            await stream.send(whole[:size])
            raw = stream.extra_attributes[anyio.abc.SocketAttribute.raw_socket]()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await stream.aclose()
        await until(lambda: len(served.requests) <= 1 and len(served.http._connections) <= 1)
        served.hold.set()
        await until(lambda: not served.http._connections)
        assert served.http._held == 0
        assert (await served.ask(post())).startswith(b"HTTP/1.1 202")


async def test_idle_connections_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 5)
    async with serving() as served:
        served.hold = anyio.Event()
        busy = await served.connect()
        await busy.send(post())
        await until(lambda: served.requests)
        idle = [await served.connect() for _ in range(30)]
        await until(lambda: len(served.http._connections) <= 5)
        last = await served.connect()
        await last.send(post())
        await until(lambda: len(served.requests) == 2)
        served.hold.set()
        assert (await read_all(busy)).startswith(b"HTTP/1.1 202")
        assert (await read_all(last)).startswith(b"HTTP/1.1 202")
        for stream in (busy, last, *idle):
            await stream.aclose()


async def test_all_bodies_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_BODY_BYTES", 1500)
    async with serving() as served, await served.connect() as first:
        await first.send(post(b"x" * 1000)[:-1])
        await until(lambda: served.http._held == 999)
        assert (await served.ask(post(b"x" * 999))).startswith(b"HTTP/1.1 503")
        await first.send(b"x")
        assert (await read_all(first)).startswith(b"HTTP/1.1 202")
        assert (await served.ask(post(b"x" * 999))).startswith(b"HTTP/1.1 202")


async def test_a_fault_of_ours_costs_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served:

        async def fail(_request: HttpRequest) -> HttpResponse:
            raise ZeroDivisionError

        async with served.http.serving("/resting", Route(fail, 10)):
            assert await served.ask(post(path="/resting")) == b""
            assert "ZeroDivisionError" in caplog.text
        assert (await served.ask(post())).startswith(b"HTTP/1.1 202")


async def test_an_address_or_path_that_is_taken_is_told() -> None:
    async with serving() as served:
        with pytest.raises(SensorError, match="twice"):
            async with served.http.serving("/hook", Route(served.answer, 1)):
                pass
        taken = served.http.url.removeprefix("http://")
        async with anyio.create_task_group() as tasks:
            for address, found in ((taken, "in use"), ("203.0.113.1:1", "203.0.113.1:1, found")):
                other = HttpServer(address, tasks, now=clock, expected=set)
                with pytest.raises(SensorError, match=found):
                    await other.listen()
    async with serving("[::1]:0") as served:
        assert served.http.url.startswith("http://[::1]:")
