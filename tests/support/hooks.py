"""A webhook's sensor without a server: its route is called directly, and a small HTTP client."""

import http.client
import json
import time
from collections import UserDict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio

from afresh.assets.manifest import Source
from afresh.sensors.base import Arrival, SensorContext
from afresh.sensors.http_route import HttpRequest, HttpResponse, Route
from afresh.sensors.secret import env
from afresh.sensors.webhooks.sensor import WebhookSensor
from afresh.sensors.webhooks.signature import FORMS, sign
from afresh.sensors.webhooks.spec import webhook
from support.watching import Journal, until

SECRET = "s3cret"  # noqa: S105 - of a test


class Routes:
    """What a sensor serves."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}

    @asynccontextmanager
    async def serving(self, path: str, route: Route) -> AsyncIterator[str]:
        self.routes[path] = route
        try:
            yield "http://127.0.0.1:1"
        finally:
            del self.routes[path]


class Known(UserDict[str, str]):
    """What the ledger has of paths, kept up by the journal; it may change while it is walked."""

    def __iter__(self) -> Iterator[str]:
        return (uri for uri in list(self.data) if uri in self.data)

    def take(self, arrivals: list[Arrival]) -> None:
        import msgspec

        for arrival in arrivals:
            if arrival.kind == "deleted":
                self.pop(arrival.uri, None)
            else:
                self[arrival.uri] = msgspec.json.encode(arrival.identity).decode()


class Ledger(Journal):
    """A journal that remembers paths as the ledger does; `hold` keeps commits from ending."""

    def __init__(self) -> None:
        super().__init__()
        self.known_rows = Known()
        self.hold: anyio.Event | None = None

    async def emit(self, batch: Any) -> None:
        if self.hold is not None:
            await self.hold.wait()
        await super().emit(batch)
        self.known_rows.take(list(batch.arrivals))


class Hook:
    """One running sensor, and calls to it."""

    def __init__(
        self, sensor: WebhookSensor, routes: Routes, ledger: Ledger, clock: "Clock"
    ) -> None:
        self.sensor = sensor
        self.routes = routes
        self.ledger = ledger
        self.clock = clock

    async def call(
        self,
        body: bytes = b'{"a":1}',
        *,
        key: str = "",
        at: float | None = None,
        secret: str = SECRET,
        headers: Mapping[str, str] | None = None,
        form: str = "afresh",
    ) -> HttpResponse:
        when = self.clock() if at is None else at
        signed = sign(FORMS[form], secret.encode(), body, at=when, key=key) if secret else {}
        given = {"content-type": "application/json", **signed, **(headers or {})}
        (route,) = self.routes.routes.values()
        return await route.answer(HttpRequest("POST", "/hooks/orders", "", given, body))


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def hooked(
    folder: Path, *, ledger: Ledger | None = None, clock: Clock | None = None, **options: Any
) -> AsyncIterator[Hook]:
    """Run a sensor as `webhook("/hooks/orders", **options)` declares it."""
    ledger, clock, routes = ledger or Ledger(), clock or Clock(), Routes()
    declared = webhook("/hooks/orders", **{"secret": env("ORDERS_SECRET"), **options}).declared()
    context = SensorContext(
        source=Source("orders", declared.sensor, stream=True),
        project=str(folder),
        staging=str(folder / "staged"),
        cursor="",
        known=ledger.known_rows,
        now=clock,
        random=Random(1),
        tell=lambda: None,
    )
    sensor = WebhookSensor(context, routes)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, ledger.emit)
        await until(lambda: sensor.checked)
        yield Hook(sensor, routes, ledger, clock)
        tasks.cancel_scope.cancel()


def post(
    url: str,
    body: bytes,
    *,
    key: str = "",
    secret: str = SECRET,
    path: str = "/hooks/orders",
    headers: Mapping[str, str] | None = None,
    at: float | None = None,
    method: str = "POST",
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Call a running daemon: status, headers, what it said. Raises OSError, HTTPException."""
    when = time.time() if at is None else at
    given = {
        "Content-Type": "application/json",
        **sign(FORMS["afresh"], secret.encode(), body, at=when, key=key),
        **(headers or {}),
    }
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        said = json.loads(answer.read())
    finally:
        connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, said
