"""Read an object of a store safely: one whole state of it, in one answer or by its version.

Where there is neither, what the store tells of it is compared before and after: a mixture is never
returned.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from blake3 import blake3

from afresh.assets.errors import ChangedData, VanishedData
from afresh.storage.stores import store_of

_TOLD = ("ETag", "etag", "size", "generation", "LastModified", "last_modified", "mtime", "ino")
_TOLD_TOO = ("created", "VersionId", "version_id", "md5Hash")


class ObjectRead(NamedTuple):
    """What was read; `info` is what the store told of it, `version` "" where there are none."""

    data: bytes
    info: Mapping[str, Any]
    version: str
    hash: str


def read_object(url: str, options: Mapping[str, Any], where: str, version: str = "") -> ObjectRead:
    """Read one state of an object; `url` is plain, nothing in it is encoded. `where` is for people.

    With `version` that one is read, else the newest. Raises VanishedData, ChangedData when it was
    replaced meanwhile, StorageUnavailable when the store does not answer.
    """
    store, path = store_of(url, options)
    try:
        if version:
            size = 0
            data = store.read(path, size, version)
            return ObjectRead(data, {}, version, blake3(data).hexdigest())
        whole = store.get(path)
        if whole is not None:
            info, data = whole
            return ObjectRead(data, info, _version(info), blake3(data).hexdigest())
        before = store.info(path)
        found = _version(before) if store.protocol == "s3" else ""
        data = store.read(path, int(before["size"]), found)
        after = before if found else store.info(path)
    except FileNotFoundError as error:
        raise VanishedData("Expected an object, found nothing", where=where) from error
    if _state(before) != _state(after) or len(data) != int(before["size"]):
        raise ChangedData(
            "Expected an object that stays, found that it was replaced while it was read",
            hint="it is read again",
            where=where,
        )
    return ObjectRead(data, before, found, blake3(data).hexdigest())


def _version(info: Mapping[str, Any]) -> str:
    version = info.get("VersionId")
    return "" if version in (None, "null") else str(version)


def _state(info: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(info.get(name) for name in (*_TOLD, *_TOLD_TOO))
