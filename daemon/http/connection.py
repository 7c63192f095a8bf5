"""One connection: requests one after the other, each within bounds of size and time."""

from collections.abc import Callable
from time import gmtime, strftime
from typing import Protocol

import anyio
import h11
import msgspec
from anyio.abc import ByteStream

from afresh.daemon.http.refused import Refused
from afresh.sensors.http_route import HttpRequest, HttpResponse, Route

HEAD_SECONDS = 10.0
"""How long a request line and its headers may take, and a connection may be idle."""
BODY_SECONDS = 30.0
SEND_SECONDS = 10.0
LINGER_SECONDS = 1.0
LINGER_BYTES = 256 << 10
MOST_HEAD_BYTES = 16 << 10
_encode = msgspec.json.Encoder().encode
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class Serves(Protocol):
    """What a connection asks of its server."""

    def find(self, method: str, path: str) -> Route:
        """Give the route of a request. Raises Refused."""
        ...

    def hold(self, size: int) -> None:
        """Take so many bytes of what all bodies may have. Raises Refused; negative: give back."""
        ...


class Connection:
    """Serves one client. `is_busy` while a request is being answered: then it is not cut off."""

    def __init__(self, stream: ByteStream, server: Serves, now: Callable[[], float]) -> None:
        self.is_busy = False
        self.scope = anyio.CancelScope()
        self._stream = stream
        self._server = server
        self._now = now
        self._held = 0
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)

    async def run(self) -> None:
        """Answer until the client goes, misbehaves or is too slow. Raises nothing of a client's."""
        with self.scope:
            try:
                while await self._one():
                    self._http.start_next_cycle()
            except (*_GONE, TimeoutError, h11.LocalProtocolError):
                pass
            finally:
                with anyio.CancelScope(shield=True):
                    await self._stream.aclose()

    async def _one(self) -> bool:
        """Answer one request; False when there will be no other."""
        try:
            found = await self._read()
            if found is None:
                return False
            route, request = found
            self.is_busy = True
            await self._send(await route.answer(request))
        except Refused as refused:
            await self._refuse(refused.response)
            return False
        except h11.RemoteProtocolError as error:
            text = f"Expected HTTP, found {error}"
            await self._refuse(HttpResponse(error.error_status_hint, {"error": text}))
            return False
        finally:
            self.is_busy = False
            self._server.hold(-self._held)
            self._held = 0
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _read(self) -> tuple[Route, HttpRequest] | None:
        """Read a whole request; None where the client has ended. Raises Refused."""
        head = None
        with anyio.move_on_after(HEAD_SECONDS):
            head = await self._event()
        if head is None:
            if self._http.their_state is h11.IDLE and not self._http.trailing_data[0]:
                return None
            raise Refused(408, "Expected a request, found a part of it")
        if not isinstance(head, h11.Request):
            return None
        method, target = head.method.decode(), head.target.decode(errors="replace")
        path, _, query = target.partition("?")
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        route = self._server.find(method, path)
        if int(headers.get("content-length", "0")) > route.max_bytes:
            raise _too_large(route)
        with anyio.move_on_after(BODY_SECONDS):
            return route, HttpRequest(method, path, query, headers, await self._body(route))
        raise Refused(408, f"Expected the body within {BODY_SECONDS:.0f} s")

    async def _body(self, route: Route) -> bytes:
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            self._server.hold(len(event.data))
            self._held += len(event.data)
            if self._held > route.max_bytes:
                raise _too_large(route)
            body += event.data
        return bytes(body)

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                assert not isinstance(event, type) or event is h11.PAUSED
                return event
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._write(self._http.send(go_on))
            try:
                data = await self._stream.receive()
            except anyio.EndOfStream:
                data = b""
            self._http.receive_data(data)

    async def _send(self, answer: HttpResponse, *, close: bool = False) -> None:
        body = _encode(answer.said)
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Date", strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(self._now()))),
            *answer.headers.items(),
        ]
        if close:
            headers.append(("Connection", "close"))
        response = h11.Response(status_code=answer.status, headers=headers)
        parts = [self._http.send(response), self._http.send(h11.Data(body))]
        await self._write(b"".join([part or b"" for part in (*parts, self._http.send(_END))]))

    async def _refuse(self, answer: HttpResponse) -> None:
        """Answer and close, reading on for a moment: else the answer may be lost on the way."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        await self._send(answer, close=True)
        with anyio.move_on_after(LINGER_SECONDS):
            await self._stream.send_eof()
            left = LINGER_BYTES
            while left > 0:
                left -= len(await self._stream.receive())

    async def _write(self, data: bytes | None) -> None:
        with anyio.fail_after(SEND_SECONDS):
            await self._stream.send(data or b"")


_END = h11.EndOfMessage()


def _too_large(route: Route) -> Refused:
    return Refused(413, f"Expected a body of at most {route.max_bytes} bytes, found more")
