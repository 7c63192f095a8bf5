"""Stores beyond the local disk, through fsspec: one client a process and store, with deadlines.

A client that was made before a fork does not work after it, so they are kept by process id. Loaded
only where a URL is met: fsspec takes 30 ms and 13 MB, s3fs 250 ms and 35 MB.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from afresh.assets.errors import ArtifactError, StorageUnavailable

DEADLINE_SECONDS = 60.0
SECONDS_A_MEGABYTE = 1.0
"""A slow line: what a large object is given beyond the deadline of every call."""
PAUSES_SECONDS = (0.2, 1.0)
"""Between the attempts of one call; who called tries again later, with pauses of its own."""
PIECE_BYTES = 16 << 20
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure"}
_SETTLED = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""What a store says for sure: asking again would not change it."""

_made: dict[tuple[int, str, str], "RemoteStore"] = {}


def store_of(url: str, options: Mapping[str, Any] | None = None) -> tuple["RemoteStore", str]:
    """Give the store of a URL and the path in it. Raises ArtifactError for one that nobody has."""
    protocol, _, path = url.partition("://")
    key = (os.getpid(), protocol, json.dumps(options or {}, sort_keys=True, default=repr))
    store = _made.get(key)
    if store is None:
        store = _made[key] = RemoteStore(protocol, _open(url, protocol, options or {}))
    return store, store.system._strip_protocol(f"{protocol}://{path}")  # noqa: SLF001 - public in all but name


class RemoteStore:
    """A file system of fsspec whose every call has a deadline and is tried a few times.

    All methods raise FileNotFoundError, FileExistsError for what the store says, StorageUnavailable
    when it does not answer or refuses: it may later.
    """

    def __init__(self, protocol: str, system: Any) -> None:
        self.protocol = protocol
        self.system = system
        if protocol == "s3":
            system.retries = 1  # below ours and above botocore's, they would multiply

    def info(self, path: str) -> dict[str, Any]:
        """Look at an object."""
        found: dict[str, Any] = self.call("info", path)
        if found.get("type") == "directory":
            raise FileNotFoundError(path)
        return found

    def get(self, path: str) -> tuple[dict[str, Any], bytes] | None:
        """Read an object with what the store tells of it, in one answer: so of one state.

        None where that cannot be: not S3, or an object that is better read in pieces.
        """
        if not self.protocol.startswith("s3"):
            return None
        found: tuple[dict[str, Any], bytes] | None = self.call("get_whole", path, size=PIECE_BYTES)
        return found

    def read(self, path: str, size: int, version: str = "") -> bytes:
        """Read all of an object, of `size` bytes, in one request where it is small.

        `version` is S3's: what other stores have needs settings that reading cannot rely on.
        """
        more: dict[str, Any] = {"version_id": version} if version else {}
        if self.protocol.startswith("s3") and (size < PIECE_BYTES or version):
            # Else s3fs asks for the size first, and without the version.
            more["max_concurrency"] = 1
        return bytes(self.call("cat_file", path, size=size, **more))

    def pieces(self, path: str) -> Iterator[bytes]:
        """Read an object in pieces."""
        size = int(self.info(path)["size"])
        for start in range(0, size, PIECE_BYTES):
            end = min(size, start + PIECE_BYTES)
            yield bytes(self.call("cat_file", path, size=end - start, start=start, end=end))

    def create(self, path: str, data: bytes) -> None:
        """Write a new object. Raises FileExistsError where one of other content is there.

        Exclusive where the store has conditional writes (If-None-Match, ifGenerationMatch).
        """
        try:
            self.call("pipe_file", path, data, size=len(data), mode="create")
        except FileExistsError:
            # The answer to a write that succeeded may have been lost.
            if int(self.info(path)["size"]) != len(data) or self.read(path, len(data)) != data:
                raise

    def create_from(self, local: str, path: str) -> None:
        """Write a new object from a local file, in parts; else as `create`."""
        size = os.stat(local).st_size  # noqa: PTH116 - a name of ours
        try:
            self.call("put_file", local, path, size=size, mode="create")
        except FileExistsError:
            if not self._holds(path, local, size):
                raise

    def remove(self, path: str) -> None:
        """Delete an object. Raises FileNotFoundError when there is none."""
        self.info(path)
        self.call("rm_file", path)

    def call(self, method: str, *args: Any, size: int = 0, **options: Any) -> Any:
        """Call a method of the file system; `size` is how many bytes it moves."""
        deadline = DEADLINE_SECONDS + SECONDS_A_MEGABYTE * size / 1e6
        for pause in (*PAUSES_SECONDS, None):
            try:
                return self._call(method, deadline, args, options)
            except _SETTLED:
                raise
            except MemoryError:
                raise
            except Exception as error:
                # Each client has errors of its own; all others mean that it is not known.
                if _is_refused_condition(error):
                    raise FileExistsError("there is an object of this name") from error
                if pause is None or isinstance(error, PermissionError):
                    raise StorageUnavailable(
                        f"Expected {self.protocol}:// to {_WORDS.get(method, method)}, found: "
                        f"{_line(error)}",
                        hint="check that it can be reached, and its credentials",
                    ) from error
                time.sleep(pause)  # noqa: TID251 - a worker, or a thread of its own
        raise AssertionError

    def _call(
        self, method: str, deadline: float, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        if not self.system.async_impl:
            return getattr(self.system, method)(*args, **options)
        # Lazy: it is loaded with the file system.
        from fsspec.asyn import sync  # noqa: PLC0415

        if method == "get_whole":
            function = partial(_get_whole, self.system)
        else:
            function = getattr(self.system, f"_{method}")
        return sync(self.system.loop, function, *args, timeout=deadline, **options)

    def _holds(self, path: str, local: str, size: int) -> bool:
        if int(self.info(path)["size"]) != size:
            return False
        with open(local, "rb") as file:  # noqa: PTH123 - a name of ours
            return all(file.read(len(piece)) == piece for piece in self.pieces(path))


_WORDS = {
    "pipe_file": "write",
    "put_file": "write",
    "cat_file": "read",
    "get_whole": "read",
    "rm_file": "delete",
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 30,
            "retries": {"max_attempts": 2, "mode": "standard"},
        },
    },
}


def _open(url: str, protocol: str, options: Mapping[str, Any]) -> Any:
    # Lazy: only where data is not local.
    import fsspec  # noqa: PLC0415

    defaults = _DEFAULTS.get(protocol, {})
    try:
        made = fsspec.get_filesystem_class(protocol)
        # Listings would be cached for ever, and instances with them, over forks too.
        return made(use_listings_cache=False, skip_instance_cache=True, **{**defaults, **options})
    except (ImportError, ValueError, TypeError) as error:
        extra = _EXTRAS.get(protocol, "")
        package = f"pip install 'afresh[{extra}]'" if extra else "install the package that has it"
        raise ArtifactError(
            f"Expected a store that fsspec knows, found {url!r}: {error}",
            hint=f"{package}, or correct the URL",
        ) from error


async def _get_whole(system: Any, path: str) -> tuple[dict[str, Any], bytes] | None:
    """Ask S3 once: fsspec has one call for the bytes and another for what is told of them."""
    bucket, key, _ = system.split_path(path)
    answer = await system._call_s3("get_object", Bucket=bucket, Key=key)  # noqa: SLF001 - as above
    with closing(answer["Body"]) as body:
        if answer["ContentLength"] >= PIECE_BYTES:
            return None
        data = bytes(await body.read())
    told = {name: answer.get(name) for name in ("ETag", "LastModified", "VersionId")}
    return {**told, "size": answer["ContentLength"]}, data


def _is_refused_condition(error: Exception) -> bool:
    """Whether a write was refused as there is an object: s3fs knows the text of one server only."""
    response = getattr(error.__cause__ or error, "response", None)
    if not isinstance(response, Mapping):
        return False
    return bool(response.get("Error", {}).get("Code") == "PreconditionFailed")


def _line(error: Exception) -> str:
    text = getattr(error, "strerror", "") or str(error) or type(error).__name__
    first, _, _ = str(text).partition("\n")
    return first
