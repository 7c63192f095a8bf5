"""Posts events to a URL, one at a time and in order, signed as `webhook(...)` takes them."""

import ssl
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from afresh.assets.errors import SensorError
from afresh.daemon.outgoing.base import Delivered, TargetError
from afresh.sensors.cloudevents import STRUCTURED, from_json
from afresh.sensors.secret import Secret
from afresh.sensors.webhooks.signature import FORMS, sign

_SHOWN_BYTES = 200
LONGEST_WAIT_SECONDS = 300.0


class WebhookTarget:
    """Posts CloudEvents in structured mode; any 2xx is an acknowledgement.

    `secret` names the shared secret, None for none. Errors name the host only, since the path of a
    webhook is often its secret.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: Secret | None,
        now: Callable[[], float],
        timeout_seconds: float = 20.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise TargetError(
                f"Expected an url with http or https and a host, found {parts.scheme!r}",
                hint='url = "https://example.org/hooks/versions"',
            )
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret = secret
        self._now = now
        self._timeout = timeout_seconds

    async def deliver(self, events: Sequence[bytes]) -> Delivered:
        """Post each; the first that is not taken ends it."""
        # One call a thread may hang for as long as a socket does.
        return await anyio.to_thread.run_sync(self._post_all, events, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Nothing is kept open."""

    def _post_all(self, events: Sequence[bytes]) -> Delivered:
        connection = self._connect()
        count = 0
        try:
            for event in events:
                connection.request("POST", self._target, event, self._headers(event))
                with connection.getresponse() as response:
                    said = response.read(_SHOWN_BYTES)
                    response.read()
                if not 200 <= response.status < 300:
                    text = said.decode(errors="replace").strip()
                    return Delivered(
                        count,
                        f"Expected {self._host} to answer 2xx, found {response.status} {text}",
                        _seconds(response.headers.get("Retry-After", "")),
                    )
                count += 1
        except (OSError, HTTPException, SensorError) as error:
            found = str(error) or type(error).__name__
            return Delivered(count, f"Expected {self._host} to take events, found {found}")
        finally:
            connection.close()
        return Delivered(count)

    def _headers(self, event: bytes) -> dict[str, str]:
        key = from_json(event).attributes["id"]
        headers = {"Content-Type": STRUCTURED, "User-Agent": "afresh"}
        if self._secret is not None:
            form = FORMS["afresh"]
            headers |= sign(form, self._secret.read(), event, at=self._now())
        if key.isascii() and key.isprintable():
            headers["Idempotency-Key"] = key
        return headers

    def _connect(self) -> HTTPConnection:
        """Make a connection; it opens at the first request."""
        if self._secure:
            context = ssl.create_default_context()
            return HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
        return HTTPConnection(self._host, self._port, timeout=self._timeout)


def _seconds(text: str) -> float:
    return min(float(text), LONGEST_WAIT_SECONDS) if text.isdecimal() else 0.0
