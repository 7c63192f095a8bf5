"""Notifications of object stores over HTTP: passed on as URLs to who takes them."""

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from afresh.daemon.http import hints
from afresh.daemon.http.hints import ROUTE
from afresh.daemon.http.server import HttpServer
from afresh.sensors.hints import HINTS
from afresh.sensors.http_route import HttpRequest, HttpResponse

GOOGLE_PUSH = {
    "message": {
        "attributes": {"bucketId": "lake", "objectId": "a/b c.csv", "eventType": "OBJECT_FINALIZE"},
        "data": "e30=",
    },
    "subscription": "projects/p/subscriptions/s",
}
AZURE = {
    "eventType": "Microsoft.Storage.BlobCreated",
    "data": {"url": "https://acc.blob.core.windows.net/lake/a/b%20c.csv"},
}
S3 = {"Records": [{"s3": {"bucket": {"name": "lake"}, "object": {"key": "a/b+c.csv"}}}]}
GOOGLE_EVENT = {"bucket": "lake", "name": "a/b c.csv"}


async def post(
    body: Any, headers: dict[str, str] | None = None, method: str = "POST"
) -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await ROUTE.answer(HttpRequest(method, "/hooks/lake", "", headers or {}, data))


@pytest.mark.parametrize(
    ("body", "headers", "found"),
    [
        (GOOGLE_PUSH, {}, ["gs://lake/a/b c.csv"]),
        ([AZURE, AZURE], {}, ["az://lake/a/b c.csv"] * 2),
        ({**AZURE, "type": AZURE["eventType"], "eventType": None}, {}, ["az://lake/a/b c.csv"]),
        (
            GOOGLE_EVENT,
            {"ce-type": "google.cloud.storage.object.v1.finalized"},
            ["gs://lake/a/b c.csv"],
        ),
        (S3, {}, ["s3://lake/a/b c.csv"]),
        ({"Event": "s3:TestEvent"}, {}, []),
    ],
)
async def test_what_stores_say(body: Any, headers: dict[str, str], found: list[str]) -> None:
    told: list[str] = []

    async def take(urls: Sequence[str]) -> None:
        told.extend(urls)

    with HINTS.taking("/hooks/lake", take):
        answer = await post(body, headers)
    assert (answer.status, answer.said) == (200, {"objects": len(found)})
    assert told == found


async def test_azure_is_answered_before_it_posts() -> None:
    ask = [
        {
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "data": {"validationCode": "c0de"},
        }
    ]
    assert (await post(ask)).said == {"validationResponse": "c0de"}
    answer = await post(b"", {"webhook-request-origin": "eventgrid.azure.net"}, "OPTIONS")
    assert answer.headers == {"WebHook-Allowed-Origin": "eventgrid.azure.net"}


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[5]", b'{"x": 1}', b'{"data": {}}', b"5", b"[" * 100_000]
)
async def test_what_is_no_notification_is_refused(body: bytes) -> None:
    assert (await post(body)).status == 400


async def test_a_bucket_that_cannot_look_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "LONGEST_SECONDS", 0.01)

    async def hang(urls: Sequence[str]) -> None:
        del urls
        await anyio.sleep_forever()

    with HINTS.taking("/hooks/lake", hang):
        assert (await post(S3)).status == 503
    assert (await post(S3)).status == 503


async def test_who_takes_hints_has_a_path_of_the_server() -> None:
    async def take(urls: Sequence[str]) -> None:
        del urls

    async with anyio.create_task_group() as tasks:
        server = HttpServer("127.0.0.1:0", tasks, now=lambda: 1.0, expected=set)
        with HINTS.taking("/hooks/lake", take):
            assert server.find("POST", "/hooks/lake") is ROUTE
        tasks.cancel_scope.cancel()
