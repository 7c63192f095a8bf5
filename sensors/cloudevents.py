"""CloudEvents 1.0: read as HTTP brings them (structured, binary, batched) and as JSON, and written.

Of our own since the rules fit on a page: the official library brings a date parser and models that
nothing here needs. An event that breaks a rule is refused whole, with the rule.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_REQUIRED = ("id", "source", "type", "specversion")
_NAME = re.compile(r"[a-z0-9]+")
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}\s*(;.*)?", re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:(\d\d)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)")
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_value = msgspec.json.Decoder(Any)
_base64 = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode


class CloudEvent(msgspec.Struct, frozen=True):
    """One event: its attributes as text, and its data as bytes (None: there is none)."""

    attributes: Mapping[str, str]
    data: bytes | None = None

    @property
    def key(self) -> str:
        """What makes two deliveries one event: source and id."""
        return f"ce:{self.attributes['source']} {self.attributes['id']}"


def from_http(headers: Mapping[str, str], body: bytes) -> list[CloudEvent] | None:
    """Read the events of a request; None if it brings none. Raises ValueError with what is wrong.

    Names of headers are in lower case.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == STRUCTURED:
        return [from_json(body)]
    if media == BATCH:
        try:
            members = _objects.decode(body)
        except _NOT_JSON as error:
            raise ValueError(f"Expected a JSON array of CloudEvents, found: {error}") from None
        return [_structured(item) for item in members]
    if media.startswith("application/cloudevents"):
        raise ValueError(f"Expected CloudEvents as JSON, found {media!r}")
    if "ce-specversion" in headers:
        return [_binary(headers, body)]
    return None


def from_json(text: bytes) -> CloudEvent:
    """Read one event in the JSON format. Raises ValueError with what is wrong."""
    try:
        members = _object.decode(text)
    except _NOT_JSON as error:
        raise ValueError(f"Expected a CloudEvent as a JSON object, found: {error}") from None
    return _structured(members)


def to_json(attributes: Mapping[str, str], data: Any) -> bytes:
    """Write an event in the JSON format, on one line. `data` is what JSON can say."""
    return _encode({"specversion": "1.0", **attributes, "data": data})


def _binary(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    attributes = {
        name[3:]: _unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    if headers.get("content-type"):
        attributes["datacontenttype"] = headers["content-type"]
    _check(attributes)
    return CloudEvent(attributes, body or None)


def _unquote(value: str) -> str:
    """Decode a header as the HTTP binding says: quoted text, then percent-encoded UTF-8."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise ValueError(f"Expected percent-encoded UTF-8 in a header, found {value!r}") from None


def _structured(members: Mapping[str, msgspec.Raw]) -> CloudEvent:
    attributes: dict[str, str] = {}
    for name, raw in members.items():
        if name not in ("data", "data_base64"):
            value = _parse(name, raw)
            if value is not None:
                attributes[name] = _text(name, value)
    _check(attributes)
    return CloudEvent(attributes, _data(members, attributes))


def _parse(name: str, raw: msgspec.Raw) -> Any:
    try:
        return _value.decode(raw)
    except _NOT_JSON as error:
        raise ValueError(f"Expected JSON as {name!r}, found: {error}") from None


def _text(name: str, value: Any) -> str:
    """Give an attribute as text: strings as they are, of extensions whole numbers and booleans."""
    if isinstance(value, str):
        return value
    own = name in (*_REQUIRED, "datacontenttype", "dataschema", "subject", "time")
    if isinstance(value, bool) and not own:
        return "true" if value else "false"
    if isinstance(value, int) and not own:
        return str(value)
    raise ValueError(f"Expected text as the attribute {name!r} of a CloudEvent, found {value!r}")


def _data(members: Mapping[str, msgspec.Raw], attributes: Mapping[str, str]) -> bytes | None:
    if "data_base64" in members:
        if "data" in members:
            raise ValueError("Expected data or data_base64 in a CloudEvent, found both")
        try:
            return b64decode(_base64.decode(members["data_base64"]), validate=True)
        except (binascii.Error, *_NOT_JSON, ValueError):
            raise ValueError("Expected Base64 in data_base64, found something else") from None
    raw = members.get("data")
    if raw is None or bytes(raw) == b"null":
        return None
    media = attributes.get("datacontenttype", "application/json").partition(";")[0].strip().lower()
    if media.endswith(("/json", "+json")):
        return bytes(raw)
    value = _parse("data", raw)
    return value.encode() if isinstance(value, str) else bytes(raw)


def _check(attributes: Mapping[str, str]) -> None:
    """Raise ValueError for the first rule of the specification that does not hold."""
    for name in _REQUIRED:
        if not attributes.get(name):
            raise ValueError(f"Expected the attribute {name!r} in a CloudEvent, found none")
    if attributes["specversion"] != "1.0":
        raise ValueError(f"Expected CloudEvents 1.0, found {attributes['specversion']!r}")
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"Expected a-z and 0-9 in names of attributes, found {name!r}")
        if not value and name in ("subject", "dataschema", "datacontenttype", "time"):
            raise ValueError(f"Expected a value or no attribute {name!r}, found an empty one")
    media = attributes.get("datacontenttype")
    if media is not None and not _MEDIA_TYPE.fullmatch(media):
        raise ValueError(f"Expected a media type as datacontenttype, found {media!r}")
    time = attributes.get("time")
    if time is not None and not _is_time(time):
        raise ValueError(f"Expected an RFC 3339 time, found {time!r}")


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if found is None:
        return False
    try:
        # A leap second is a time that Python does not have.
        datetime.fromisoformat(text[:17] + ("59" if found[1] == "60" else found[1]))
    except ValueError:
        return False
    return True
