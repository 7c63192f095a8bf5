"""What the sensor of a bucket asks of a store: one page after the other, and one object.

Adapters raise StoreError for whatever keeps them from knowing; nothing is concluded from that.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from afresh.assets.errors import SensorError
from afresh.sensors.base import ObjectIdentity

PAGE = 1000
"""At most so many objects are asked for at once: what S3 gives."""


class Entry(NamedTuple):
    """One object as the store tells of it; `path` is bucket and name."""

    path: str
    identity: ObjectIdentity


class StoreError(SensorError):
    """The store did not answer as it should: it is asked again."""


class RefusedError(StoreError):
    """The store answered that it will not say: asking again would not change it."""


def not_known(what: str, text: str, error: Exception) -> StoreError:
    """Make the error for a call that failed: `what` it was to do, and the client's text."""
    message = f"Expected the store to {what}, found: {text}"
    if is_refusal(error):
        return RefusedError(
            message,
            hint="check the credentials, and that they may list the bucket and read its objects",
        )
    return StoreError(message, hint="it is asked again; check that it can be reached")


def is_refusal(error: Exception) -> bool:
    """Whether an error of a client is a store's answer for good: no rights, no such name."""
    if isinstance(error, PermissionError | UnicodeError):
        return True
    if str(error).startswith("Forbidden: "):  # gcsfs has no other sign of it
        return True
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    status: Any = getattr(error, "status_code", None) or getattr(error, "code", None)
    if isinstance(response, Mapping):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status in {400, 401, 403}


class Pages(Protocol):
    """One listing under way. After an error `next` goes on where it was.

    So many may call `next` at once; each of them does so until it is given None.
    """

    at_once: int

    async def next(self) -> list[Entry] | None:
        """Give what the store says now of the next objects, None at the end. Raises StoreError."""
        ...


class Store(Protocol):
    """A store that was opened; used from one task group."""

    def pages(self) -> Pages:
        """Begin to list all objects that may match."""
        ...

    async def look(self, path: str) -> Entry | None:
        """Look at one object now; None if it is not there.

        Raises StoreError, RefusedError for an object that it will say nothing of.
        """
        ...

    async def find(self, path: str) -> Entry | None:
        """Look for one object in a listing of its own name; None if it is not there.

        Raises StoreError.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def identity_of(info: Mapping[str, Any]) -> ObjectIdentity:
    """Make the identity from what fsspec's file systems tell of an object, under their names.

    Local files have neither etag nor version: the inode tells one that was replaced by another of
    equal size within the clock's tick.
    """
    etag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or ""
    version = info.get("VersionId") or info.get("generation") or info.get("version_id") or ""
    version = version or info.get("ino") or ""
    return ObjectIdentity(
        etag=str(etag).strip('"'),
        version="" if version == "null" else str(version),
        size=int(info.get("size") or info.get("Size") or 0),
        modified_at=_seconds(info),
    )


def state_of(identity: ObjectIdentity) -> int:
    """What tells one state of an object from the next, alike in a listing and in a look.

    A listing of S3 has no versions, and the times of listings and looks are rounded differently:
    so the etag decides where there is one. A number of 56 bits, as a hundred thousand are kept.
    """
    text = identity.etag or f"{identity.version} {identity.modified_at!r}"
    digest = blake2b(f"{text} {identity.size}".encode("utf-8", "replace"), digest_size=7)
    return int.from_bytes(digest.digest(), "little")


def _seconds(info: Mapping[str, Any]) -> float:
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str) and value:
            return datetime.fromisoformat(value).timestamp()
    return 0.0
