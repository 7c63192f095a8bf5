"""GCS and Azure: listed page by page with the store's own tokens, a page of memory at a time."""

import weakref
from collections.abc import Mapping
from typing import Any

from afresh.sensors.buckets.folders import FolderStore
from afresh.sensors.buckets.store import PAGE, Entry, Pages, StoreError, identity_of


class GcsStore(FolderStore):
    """Objects of GCS below a prefix."""

    def __init__(self, prefix: str, options: Mapping[str, Any]) -> None:
        super().__init__("gs", prefix, options, recursive=True)

    async def find(self, path: str) -> Entry | None:
        """Ask for the first name that begins as this one."""
        found, _ = await self.page(None, path, 1)
        return next((entry for entry in found if entry.path == path), None)

    def pages(self) -> Pages:
        """Begin to list."""
        return _TokenPages(self)

    async def page(
        self, token: str | None, root: str = "", most: int = 0
    ) -> tuple[list[Entry], str | None]:
        """Ask for the page after a token; the next token is None at the end."""
        bucket, _, prefix = (root or self.root).partition("/")
        try:
            found = await self.ask(
                f"list gs://{self.root}",
                self.system._call,  # noqa: SLF001 - the async API has no other name
                "GET",
                "b/{}/o",
                bucket,
                prefix=prefix,
                maxResults=most or PAGE,
                json_out=True,
                **({"pageToken": token} if token else {}),
            )
        except FileNotFoundError as error:
            raise _no_bucket(bucket) from error
        entries = [
            Entry(f"{bucket}/{item['name']}", identity_of(item)) for item in found.get("items", ())
        ]
        return entries, found.get("nextPageToken")


class AzureStore(FolderStore):
    """Blobs of Azure below a prefix."""

    def __init__(self, prefix: str, options: Mapping[str, Any]) -> None:
        super().__init__("az", prefix, options, recursive=True)

    async def find(self, path: str) -> Entry | None:
        """Ask for the first name that begins as this one."""
        found, _ = await self.page(None, path, 1)
        return next((entry for entry in found if entry.path == path), None)

    async def close(self) -> None:
        """Let go of the connections; adlfs itself would, when nobody runs its loop any more."""
        await self.system.service_client.close()
        if self.system.credential is not None and hasattr(self.system.credential, "close"):
            await self.system.credential.close()
        for finalizer, info in list(weakref.finalize._registry.items()):  # type: ignore[attr-defined]  # noqa: SLF001
            if info.weakref() is self.system:
                finalizer.detach()

    def pages(self) -> Pages:
        """Begin to list."""
        return _TokenPages(self)

    async def page(
        self, token: str | None, root: str = "", most: int = 0
    ) -> tuple[list[Entry], str | None]:
        """Ask for the page after a token; the next token is None at the end."""
        root, most = root or self.root, most or PAGE
        return await self.ask(f"list az://{root}", self._page, token, root, most)  # type: ignore[no-any-return]

    async def _page(
        self, token: str | None, root: str, most: int
    ) -> tuple[list[Entry], str | None]:
        container, _, prefix = root.partition("/")
        async with self.system.service_client.get_container_client(container) as client:
            pages = client.list_blobs(name_starts_with=prefix, results_per_page=most).by_page(token)
            try:
                page = await anext(pages)
            except StopAsyncIteration:
                return [], None
            except Exception as error:
                if getattr(error, "status_code", None) == 404:
                    raise _no_bucket(container) from error
                raise
            entries = [Entry(f"{container}/{blob.name}", identity_of(blob)) async for blob in page]
            return entries, pages.continuation_token or None


class _TokenPages:
    """Remembers the token of the next page, so that it can be asked for again."""

    at_once = 1

    def __init__(self, store: GcsStore | AzureStore) -> None:
        self._store = store
        self._token: str | None = None
        self._ended = False

    async def next(self) -> list[Entry] | None:
        if self._ended:
            return None
        entries, self._token = await self._store.page(self._token)
        self._ended = self._token is None
        return entries


def _no_bucket(name: str) -> StoreError:
    return StoreError(
        f"Expected bucket {name!r}, found none of that name", hint="correct the URL, or make it"
    )
