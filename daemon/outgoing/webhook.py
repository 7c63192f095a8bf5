"""Posts events to a URL in order, signed as `webhook(...)` takes them: one by one or in batches."""

import ssl
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection

import anyio
import anyio.to_thread

from afresh.assets.errors import SensorError
from afresh.daemon.outgoing.base import Delivered
from afresh.daemon.outgoing.url import split_url
from afresh.sensors.cloudevents import BATCH, STRUCTURED, from_json
from afresh.sensors.secret import Secret
from afresh.sensors.webhooks.signature import FORMS, sign

_SHOWN_BYTES = 200
_PASSED_OVER_BYTES = 64 << 10
LONGEST_WAIT_SECONDS = 300.0


class WebhookTarget:
    """Posts CloudEvents in structured mode; any 2xx is an acknowledgement.

    With a `batch` of more than one, so many at once as an array (their batched mode): all of them
    are taken or none. `secret` names the shared secret, None for none. `authorities` is a file of
    certificates that are trusted instead of the system's. Errors name the host only, since the path
    of a webhook is often its secret.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: Secret | None,
        now: Callable[[], float],
        timeout_seconds: float = 20.0,
        batch: int = 1,
        authorities: str | None = None,
    ) -> None:
        parts = split_url(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret = secret
        self._now = now
        self._timeout = timeout_seconds
        self._batch = batch
        self._authorities = authorities

    async def deliver(self, events: Sequence[bytes]) -> Delivered:
        """Post all; the first request that is not taken ends it."""
        # One call a thread may hang for as long as a socket does.
        return await anyio.to_thread.run_sync(self._post_all, events, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Nothing is kept open."""

    def _post_all(self, events: Sequence[bytes]) -> Delivered:
        count = 0
        try:
            connection = self._connect()
        except OSError as error:
            return Delivered(0, f"Expected to read {self._authorities!r}, found {error}")
        try:
            for first in range(0, len(events), self._batch):
                some = events[first : first + self._batch]
                body = some[0] if self._batch == 1 else b"[" + b",".join(some) + b"]"
                connection.request("POST", self._target, body, self._headers(some, body))
                with connection.getresponse() as response:
                    said = response.read(_SHOWN_BYTES)
                    # For the next request on this connection; more than that ends it.
                    if len(response.read(_PASSED_OVER_BYTES)) == _PASSED_OVER_BYTES:
                        connection.close()
                if not 200 <= response.status < 300:
                    text = said.decode(errors="replace").strip()
                    return Delivered(
                        count,
                        f"Expected {self._host} to answer 2xx, found {response.status} {text}",
                        _seconds(response.headers.get("Retry-After", "")),
                    )
                count += len(some)
        except (OSError, HTTPException, SensorError) as error:
            found = str(error) or type(error).__name__
            return Delivered(count, f"Expected {self._host} to take events, found {found}")
        finally:
            connection.close()
        return Delivered(count)

    def _headers(self, events: Sequence[bytes], body: bytes) -> dict[str, str]:
        headers = {"Content-Type": BATCH, "User-Agent": "afresh"}
        if self._secret is not None:
            form = FORMS["afresh"]
            headers |= sign(form, self._secret.read(), body, at=self._now())
        if self._batch == 1:
            headers["Content-Type"] = STRUCTURED
            key = from_json(events[0]).attributes["id"]
            if key.isascii() and key.isprintable():
                headers["Idempotency-Key"] = key
        return headers

    def _connect(self) -> HTTPConnection:
        """Make a connection; it opens at the first request."""
        if self._secure:
            context = ssl.create_default_context(cafile=self._authorities)
            return HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
        return HTTPConnection(self._host, self._port, timeout=self._timeout)


def _seconds(text: str) -> float:
    return min(float(text), LONGEST_WAIT_SECONDS) if text.isdecimal() else 0.0
