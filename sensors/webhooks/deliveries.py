"""What a request delivers: records, and what makes each of them one however often it comes."""

import hashlib
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from afresh.sensors.cloudevents import CloudEvent, from_http
from afresh.sensors.depth import HEADER
from afresh.sensors.http_route import HttpRequest
from afresh.sensors.records import Record
from afresh.sensors.webhooks.signature import Form, Signed

MOST_KEY = 256
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


class Delivery(msgspec.Struct, frozen=True):
    """One record. `key` makes it one, `digest` tells whether another body comes with the key."""

    key: str
    digest: str
    record: Record


def read(
    form: Form,
    request: HttpRequest,
    signed: Signed | None,
    *,
    now: float,
    keep: Sequence[str],
    unique: str,
) -> list[Delivery]:
    """Read what a request delivers. Raises ValueError with what is wrong, for the caller.

    `unique` is the key of a call that nobody signed and that has none: nothing tells it from one
    that means the same again.
    """
    headers = request.headers
    kept = tuple(
        (name, headers[name].encode())
        for name in dict.fromkeys(("content-type", HEADER, *form.headers, *keep))
        if name in headers
    )
    at_ms = int((now if signed is None or signed.at is None else signed.at) * 1000)
    events = from_http(headers, request.body)
    if events is None:
        key = _key(form, headers, request.body)
        if not key:
            key = unique if signed is None else f"sha256:{signed.digest.hex()}"
        record = Record(request.body, key.encode(), kept, at_ms)
        return [Delivery(key, _digest(request.body), record)]
    found: dict[str, Delivery] = {}
    for event in events:
        delivery = _of_event(event, kept, at_ms)
        known = found.setdefault(delivery.key, delivery)
        if known.digest != delivery.digest:
            raise ValueError(f"Expected one event for one source and id, found two: {event.key!r}")
    return list(found.values())


def uri_of(path: str, key: str) -> str:
    """Name a delivery in the journal; keys that are too long for it by their hash."""
    quoted = quote(key, safe="/:")
    if len(quoted) > MOST_KEY:
        quoted = f"sha256:{_digest(key.encode())}"
    return f"webhook:{path}#{quoted}"


def _key(form: Form, headers: Mapping[str, str], body: bytes) -> str:
    if form.field:
        try:
            return f"id:{_text.decode(_fields.decode(body)[form.field])}"
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
            return ""
    key = headers.get(form.key, "")
    if not key and not form.has_time:
        raise ValueError(f"Expected what makes the delivery one in {form.key}, found nothing")
    if len(key) > MOST_KEY or not (key.isascii() and key.isprintable()):
        raise ValueError(f"Expected at most {MOST_KEY} printable characters in {form.key}")
    return key


def _of_event(event: CloudEvent, kept: tuple[tuple[str, bytes], ...], at_ms: int) -> Delivery:
    attributes = {
        "content-type" if name == "datacontenttype" else f"ce_{name}": value
        for name, value in event.attributes.items()
    }
    merged = {name: value for name, value in kept if name != "content-type"}
    merged |= {name: value.encode() for name, value in attributes.items()}
    record = Record(event.data, event.attributes["id"].encode(), tuple(merged.items()), at_ms)
    return Delivery(event.key, _digest(event.data or b""), record)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
