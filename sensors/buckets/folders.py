"""Any store that fsspec has: listed a folder at a time, in this loop or in threads."""

import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import fsspec

from afresh.assets.errors import AfreshError
from afresh.sensors.buckets.store import (
    Entry,
    Pages,
    StoreError,
    identity_of,
    not_known,
)

DEADLINE_SECONDS = 60.0
THREADS = 4
"""A slow store must not hold the threads that others wait for: its sensor has so many, its own."""
ABANDONED_AT_MOST = 4
"""So many more may hang in calls that nobody waits for any longer; then no other is begun."""


_WORDS = {"ls": "list", "info": "look at"}


class FolderStore:
    """The objects below one folder; `recursive` if those in folders below it count too."""

    def __init__(
        self, protocol: str, root: str, options: Mapping[str, Any], *, recursive: bool
    ) -> None:
        self.recursive = recursive
        self.root = root
        self._lead = "/" if protocol in ("file", "memory") else ""
        made = fsspec.get_filesystem_class(protocol)
        self._is_async = bool(made.async_impl)
        shared = {"asynchronous": True} if self._is_async else {}
        # Listings would be cached for ever, and instances with them.
        self.system = made(
            use_listings_cache=False, skip_instance_cache=True, **shared, **dict(options)
        )
        self._limiter: anyio.CapacityLimiter | None = None
        self._threads = threading.BoundedSemaphore(THREADS + ABANDONED_AT_MOST)

    async def close(self) -> None:
        """Let go of connections, where the file system has a way."""
        session = getattr(self.system, "_session", None)
        if session is not None and hasattr(session, "close"):
            await session.close()

    def pages(self) -> Pages:
        """Begin to list."""
        return _FolderPages(self)

    async def look(self, path: str) -> Entry | None:
        """Ask for one object."""
        try:
            info = await self._call("info", self._lead + path)
        except FileNotFoundError:
            return None
        if info.get("type") == "directory":
            return None
        return Entry(path, identity_of(info))

    async def find(self, path: str) -> Entry | None:
        """Look: a whole folder is not listed for one name."""
        return await self.look(path)

    async def list_folder(self, path: str) -> tuple[list[Entry], list[str]]:
        """List one folder: its objects, and the folders in it; a folder that is not there is empty.

        (Stores of objects have no folders: none of its name is what an empty one looks like.)
        """
        try:
            infos = await self._call("ls", self._lead + path, detail=True)
        except FileNotFoundError:
            return [], []
        except NotADirectoryError as error:
            raise StoreError(f"Expected a folder, found an object at {path!r}") from error
        entries, folders = [], []
        for info in infos:
            name = str(info["name"]).removeprefix("/").rstrip("/")
            if name == path:
                continue
            if info["type"] == "directory":
                folders.append(name)
            else:
                entries.append(Entry(name, identity_of(info)))
        return entries, folders

    async def _call(self, method: str, *args: Any, **options: Any) -> Any:
        what = f"{_WORDS.get(method, method)} {args[0]!r}"
        if self._is_async:
            return await self.ask(what, getattr(self.system, f"_{method}"), *args, **options)
        self._limiter = self._limiter or anyio.CapacityLimiter(THREADS)
        call = partial(getattr(self.system, method), *args, **options)
        return await self.ask(
            what,
            anyio.to_thread.run_sync,
            self._in_thread,
            call,
            limiter=self._limiter,
            abandon_on_cancel=True,
        )

    def _in_thread(self, call: Callable[[], Any]) -> Any:
        if not self._threads.acquire(blocking=False):
            raise StoreError(
                "Expected the store to answer, found that earlier calls still hang",
                hint="it is asked again when they end; check that it can be reached",
            )
        try:
            return call()
        finally:
            self._threads.release()

    async def ask(
        self, what: str, call: Callable[..., Awaitable[Any]], *args: Any, **options: Any
    ) -> Any:
        """Call the store with a deadline. Raises FileNotFoundError, NotADirectoryError, StoreError.

        `what` is for people.
        """
        try:
            with anyio.fail_after(DEADLINE_SECONDS):
                return await call(*args, **options)
        except (FileNotFoundError, NotADirectoryError, AfreshError, MemoryError):
            raise
        except TimeoutError as error:
            raise StoreError(
                f"Expected the store to {what} within {DEADLINE_SECONDS:g} s, found no answer",
                hint="it is asked again; check that it can be reached",
            ) from error
        except Exception as error:
            # Each client has errors of its own; all of them mean that it is not known.
            text = getattr(error, "strerror", "") or str(error) or type(error).__name__
            raise not_known(what, text.splitlines()[0], error) from error


class _FolderPages:
    """One folder after the other, in order of their names; a page is a folder, listed whole."""

    at_once = 1

    def __init__(self, store: FolderStore) -> None:
        self._store = store
        self._folders = [store.root]

    async def next(self) -> list[Entry] | None:
        if not self._folders:
            return None
        entries, folders = await self._store.list_folder(self._folders[-1])
        self._folders.pop()
        if self._store.recursive:
            self._folders += sorted(folders, reverse=True)
        return sorted(entries)
