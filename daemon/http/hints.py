"""What object stores post when objects changed: passed on to the buckets that take such hints.

A hint only means 'look at this object': whoever posts one can have nothing recorded that is not so.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio
import msgspec

from afresh.assets.errors import AfreshError
from afresh.sensors.buckets.messages import objects_of
from afresh.sensors.buckets.url import object_uri
from afresh.sensors.hints import HINTS
from afresh.sensors.http_route import HttpRequest, HttpResponse, Route

MOST_BYTES = 1 << 20
LONGEST_SECONDS = 20.0
_AZURE = "Microsoft.Storage.Blob"
_AZURE_ASKS = "Microsoft.EventGrid.SubscriptionValidationEvent"
_GOOGLE = "google.cloud.storage.object.v1."


async def answer(request: HttpRequest) -> HttpResponse:
    """Pass on what a store says; 200 when what follows is recorded."""
    if request.method == "OPTIONS":
        # The handshake of CloudEvents over webhooks, which Azure asks for.
        origin = request.headers.get("webhook-request-origin", "")
        return HttpResponse(200, {}, {"WebHook-Allowed-Origin": origin} if origin else {})
    try:
        code = validation_code(request.body)
        urls = [] if code else list(urls_of(request.headers, request.body))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        return HttpResponse(400, {"error": f"Expected a store's notification, found {error!r}"})
    if code:
        return HttpResponse(200, {"validationResponse": code})
    try:
        with anyio.fail_after(LONGEST_SECONDS):
            if urls:
                await HINTS.give(request.path, urls)
    except (TimeoutError, AfreshError):
        return HttpResponse(503, {"error": "the bucket cannot look now"}, {"Retry-After": "5"})
    return HttpResponse(200, {"objects": len(urls)})


ROUTE = Route(answer, MOST_BYTES, frozenset({"POST", "OPTIONS"}))


def validation_code(body: bytes) -> str:
    """Give what Azure's Event Grid wants to hear before it posts anything; "" otherwise."""
    message = msgspec.json.decode(body)
    for event in message if isinstance(message, list) else [message]:
        if isinstance(event, dict) and event.get("eventType") == _AZURE_ASKS:
            return str(event["data"]["validationCode"])
    return ""


def urls_of(headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    """Give the URLs of the objects that a post tells of: of Google, Azure, and S3's forms.

    Raises ValueError, KeyError or TypeError for what is none of them.
    """
    paths = objects_of(body.decode())
    if paths is not None:
        yield from (object_uri("s3", path) for path in paths)
        return
    message = msgspec.json.decode(body)
    for event in message if isinstance(message, list) else [message]:
        yield _url(event, headers)


def _url(event: Any, headers: Mapping[str, str]) -> str:
    if not isinstance(event, dict):
        raise TypeError(event)
    pushed = event.get("message")
    if isinstance(pushed, dict) and "bucketId" in pushed.get("attributes", {}):
        attributes = pushed["attributes"]
        return object_uri("gs", f"{attributes['bucketId']}/{attributes['objectId']}")
    kind = str(event.get("eventType") or event.get("type") or headers.get("ce-type", ""))
    data = event if "ce-type" in headers else event["data"]
    if kind.startswith(_GOOGLE):
        return object_uri("gs", f"{data['bucket']}/{data['name']}")
    if kind.startswith(_AZURE):
        # https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME
        return object_uri("az", unquote(urlsplit(str(data["url"])).path.removeprefix("/")))
    raise ValueError(f"a notification of kind {kind!r}")
