"""S3 and what speaks like it, through s3fs's async API in this loop."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from xml.etree import ElementTree as ET

import anyio
from botocore.exceptions import BotoCoreError, ClientError
from s3fs import S3FileSystem

from afresh.sensors.buckets.spans import Marks, SpanPages
from afresh.sensors.buckets.store import (
    PAGE,
    Entry,
    Pages,
    StoreError,
    identity_of,
    not_known,
)

DEADLINE_SECONDS = 30.0
_CONFIG: dict[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "max_pool_connections": 32,
    "retries": {"max_attempts": 1, "mode": "standard"},
}
_log = logging.getLogger("afresh.sensors")
_ERRORS = (BotoCoreError, ClientError, OSError, TimeoutError, ValueError)


class S3Store:
    """The objects of one bucket below a prefix."""

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, Any]) -> None:
        self.bucket = bucket
        self.prefix = prefix
        # Instances and listings would be cached for ever.
        self.system = S3FileSystem(
            asynchronous=True,
            use_listings_cache=False,
            skip_instance_cache=True,
            **{**options, "config_kwargs": {**_CONFIG, **options.get("config_kwargs", {})}},
        )
        # Who calls tries again, with pauses of its own, and says what is wrong meanwhile.
        self.system.retries = 1
        self._client: Any = None
        self._connecting = anyio.Lock()
        self._marks = Marks()

    async def connect(self) -> None:
        """Make the connection pool. Raises StoreError for settings that boto refuses."""
        # One at a time: a listing that is parsed twice is empty.
        async with self._connecting:
            if self._client is not None:
                return
            async with _asking("take a connection"):
                try:
                    client = await self.system.set_session()
                except TypeError as error:
                    raise StoreError(
                        f"Expected storage_options that S3's client takes, found: {error}",
                        hint="correct storage_options",
                    ) from error
            client.meta.events.register("before-parse.s3.ListObjectsV2", _parse_listing)
            self._client = client

    async def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def pages(self) -> Pages:
        """Begin to list."""
        return SpanPages(self.bucket, self.list_after, self._marks)

    async def look(self, path: str) -> Entry | None:
        """Ask for one object's head."""
        bucket, _, key = path.partition("/")
        try:
            async with _asking(f"look at {path!r}"):
                await self.connect()
                head = await self.system._call_s3(  # noqa: SLF001 - the async API has no other name
                    "head_object", Bucket=bucket, Key=key
                )
        except FileNotFoundError:
            return None
        return Entry(path, identity_of({**head, "size": head["ContentLength"]}))

    async def find(self, path: str) -> Entry | None:
        """Ask for the first name that begins as this one: itself comes before longer ones."""
        _, _, key = path.partition("/")
        listed = await self._list(key, MaxKeys=1)
        for item in listed.get("Contents", ()):
            if item["Key"] == key:
                return Entry(path, identity_of(item))
        return None

    async def list_after(self, key: str) -> Mapping[str, Any]:
        """Ask for the objects after this one, in order of their names' bytes."""
        more = {"StartAfter": key} if key else {}
        return await self._list(self.prefix, MaxKeys=PAGE, **more)

    async def _list(self, prefix: str, **more: Any) -> Mapping[str, Any]:
        try:
            async with _asking(f"list s3://{self.bucket}/{prefix}"):
                await self.connect()
                listed: Mapping[str, Any] = await self.system._call_s3(  # noqa: SLF001
                    "list_objects_v2", Bucket=self.bucket, Prefix=prefix, **more
                )
        except FileNotFoundError as error:
            raise StoreError(
                f"Expected bucket {self.bucket!r}, found none of that name",
                hint="correct the URL, or make the bucket",
            ) from error
        return listed


@asynccontextmanager
async def _asking(what: str) -> AsyncIterator[None]:
    """Bound the time of a call, and say in one line what went wrong."""
    try:
        with anyio.fail_after(DEADLINE_SECONDS):
            yield
    except FileNotFoundError:
        raise
    except TimeoutError as error:
        raise StoreError(
            f"Expected the store to {what} within {DEADLINE_SECONDS:g} s, found no answer",
            hint="it is asked again; check that it can be reached",
        ) from error
    except _ERRORS as error:
        raise not_known(what, str(error), error) from error


def _parse_listing(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Read a page ten times as fast as botocore, whose 100 ms would hold the daemon's loop."""
    if response_dict["status_code"] != 200:
        return
    try:
        root = ET.fromstring(response_dict["body"])  # noqa: S314 - expat expands no bombs since 2.4
    except ET.ParseError:
        return  # botocore says what is wrong with it
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    names = {f"{space}{name}": name for name in ("Key", "ETag", "Size", "LastModified")}
    contents = []
    for item in root.iterfind(f"{space}Contents"):
        found = {names[part.tag]: part.text or "" for part in item if part.tag in names}
        contents.append(found)
    root[:] = [part for part in root if part.tag != f"{space}Contents"]
    truncated = root.findtext(f"{space}IsTruncated") == "true"
    customized_response_dict.update(Contents=contents, IsTruncated=truncated)
    response_dict["body"] = ET.tostring(root)
