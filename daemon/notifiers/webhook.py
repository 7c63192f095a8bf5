"""Posts each alert as JSON to a URL (a chat, a pager, an own service)."""

import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection

import anyio
import anyio.to_thread
import msgspec

from afresh.daemon.notifiers.base import Alert, Notifier, NotifierError
from afresh.daemon.outgoing.url import split_url

_SHOWN_BYTES = 500


class WebhookNotifier(Notifier):
    """Posts to `url` (https or http), with `headers` added, within `timeout_seconds` in all.

    TLS is verified against the system's authorities. Redirects are not followed: an alert goes
    where it was sent. Errors name the host only, since the path of a webhook is often its secret.
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout_seconds: float = 10.0
    ) -> None:
        try:
            parts = split_url(url)
        except ValueError as error:
            raise NotifierError(
                str(error), hint='for example url = "https://alerts.example/hooks/data"'
            ) from None
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.headers = dict(headers or {})
        self.timeout_seconds = timeout_seconds

    async def notify(self, alert: Alert) -> None:
        """Post the alert. Raises NotifierError unless the answer is 2xx, in time."""
        try:
            with anyio.fail_after(self.timeout_seconds):
                # The thread's sockets have the same limit, so an abandoned one ends by itself.
                await anyio.to_thread.run_sync(self._post, alert, abandon_on_cancel=True)
        except TimeoutError:
            raise NotifierError(
                f"Expected an answer of {self.host} within {self.timeout_seconds:g} s, found none"
            ) from None

    def _post(self, alert: Alert) -> None:
        """One request over one connection, in a thread."""
        body = msgspec.json.encode(alert.to_json())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "afresh",
            "Idempotency-Key": alert.key,
            **self.headers,
        }
        connection = self._connect()
        try:
            connection.request("POST", self.target, body, headers)
            with connection.getresponse() as response:
                said = response.read(_SHOWN_BYTES)
        except TimeoutError:
            raise
        except (OSError, HTTPException, ValueError) as error:
            found = str(error) or type(error).__name__
            raise NotifierError(f"Expected {self.host} to take the alert, found {found}") from error
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            detail = said.decode(errors="replace").strip()
            raise NotifierError(
                f"Expected {self.host} to answer 2xx, found {response.status} {detail}".rstrip()
            )

    def _connect(self) -> HTTPConnection:
        """Make a connection; it opens at the first request."""
        if self.secure:
            return HTTPSConnection(
                self.host,
                self.port,
                timeout=self.timeout_seconds,
                context=ssl.create_default_context(),
            )
        return HTTPConnection(self.host, self.port, timeout=self.timeout_seconds)
