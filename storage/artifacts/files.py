"""Artifacts as bytes: write once and durably, read, verify, delete; local folders or fsspec URLs.

Imports no data library: the daemon and the command line use it.
"""
# Flags, descriptors and plain text paths, which pathlib has no words for:
# ruff: noqa: PTH102, PTH108, PTH116, PTH120, PTH123

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from blake3 import blake3

from afresh.assets.errors import ArtifactError, StorageUnavailable
from afresh.storage.references import parse_reference
from afresh.storage.stores import store_of

_PIECE = 1 << 20
_SPOOLED = 64 << 20
"""An artifact for a store is kept in memory up to this size, larger ones on the local disk."""


def local_path(uri: str) -> str | None:
    """Give the path of a local artifact (a path or `file://`); None for another store's."""
    if uri.startswith("file://"):
        return uri.removeprefix("file://")
    return None if "://" in uri else uri


@contextmanager
def create(uri: str) -> Iterator[IO[bytes]]:
    """Open a new artifact for writing; at the end of the block it is durable, file and folder.

    When the block or the writing fails nothing is left. Raises ArtifactError: it exists, the disk
    is full, there is no permission.
    """
    path = local_path(uri)
    try:
        with _create_remote(uri) if path is None else _create_local(path) as file:
            yield file
    except FileExistsError as error:
        raise ArtifactError(
            f"Expected a new artifact, found that {uri!r} exists",
            hint="an artifact is never overwritten; run it again for a new name",
        ) from error
    except OSError as error:
        raise _unwritable(uri, error) from error


@contextmanager
def _create_local(path: str) -> Iterator[IO[bytes]]:
    folder = os.path.dirname(path)
    unsynced = _make_folders(folder)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            yield _Whole(file)  # type: ignore[misc]
            os.fsync(descriptor)
        _sync_folder(folder)
        if unsynced:  # last: the file's own sync has done most of the work by now
            _sync_folder(os.path.dirname(folder))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


class _Whole:
    """An unbuffered file whose `write` writes all: the system may take less, near a full disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        view = memoryview(data)
        written = 0
        while written < len(view):
            written += self._file.write(view[written:])
        return written


@contextmanager
def _create_remote(uri: str) -> Iterator[IO[bytes]]:
    """Gather what is written, then publish it at once: half of it is never there."""
    store, path = store_of(uri)
    with tempfile.SpooledTemporaryFile(_SPOOLED) as file:
        yield file
        size = file.tell()
        if size <= _SPOOLED:
            file.seek(0)
            store.create(path, file.read())
            return
        # Beyond that it lies on the disk, without a name.
        file.flush()
        store.create_from(f"/proc/self/fd/{file.fileno()}", path)


def _make_folders(folder: str) -> bool:
    """Make the folder and its parents. True: its own entry is not durable yet; those above are."""
    if not folder:
        return False
    try:
        os.mkdir(folder)
    except FileExistsError:
        return False
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if _make_folders(above):
            _sync_folder(os.path.dirname(above))
        _make_folders(folder)
    return True


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(uri: str) -> bytes:
    """Read all of an artifact. Raises ArtifactError when it is absent or cannot be read."""
    path = local_path(uri)
    try:
        if path is not None:
            with open(path, "rb", buffering=0) as file:
                return file.read()
        store, inside = store_of(uri)
        return store.read(inside, int(store.info(inside)["size"]))
    except OSError as error:
        raise unreadable(uri, error) from error


def hash_bytes(uri: str) -> str:
    """Hash an artifact's bytes (BLAKE3, hex), in pieces. Raises ArtifactError as `read_bytes`."""
    whole = blake3()
    try:
        for piece in _pieces(uri):
            whole.update(piece)
    except OSError as error:
        raise unreadable(uri, error) from error
    return whole.hexdigest()


def verify(uri: str, expected: str) -> None:
    """Compare the bytes with the hash of when they were written. Raises ArtifactError."""
    check_hash(uri, expected, hash_bytes(uri))


def check_hash(uri: str, expected: str, found: str) -> None:
    """Raise ArtifactError unless the two hashes of an artifact's bytes are equal."""
    if found != expected:
        raise ArtifactError(
            f"Expected bytes with hash {expected[:16]}, found {found[:16]} in {uri!r}",
            hint="it was damaged or changed; rebuild it with `afresh materialize --force`",
        )


def exists(uri: str) -> bool:
    """Whether there is an artifact. Raises ArtifactError when that cannot be known."""
    path = local_path(uri)
    try:
        if path is None:
            store, inside = store_of(uri)
            store.info(inside)
        else:
            os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(uri, error) from error
    return True


def delete(uris: Iterable[str]) -> int:
    """Delete artifacts and count them; those that are not there are passed over.

    Tries all of them, then raises ArtifactError for the first that could not be deleted.
    """
    deleted = 0
    failed: tuple[str, OSError] | None = None
    for uri in uris:
        if parse_reference(uri) is not None:
            continue  # an original is not ours to delete
        try:
            _delete(uri)
            deleted += 1
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            failed = failed or (uri, error)
    if failed is not None:
        where, why = failed
        raise ArtifactError(f"Expected to delete {where!r}, found: {reason(why)}") from why
    return deleted


def _delete(uri: str) -> None:
    path = local_path(uri)
    if path is not None:
        os.unlink(path)
        return
    store, inside = store_of(uri)
    store.remove(inside)


def _pieces(uri: str) -> Iterator[bytes]:
    path = local_path(uri)
    if path is None:
        store, inside = store_of(uri)
        yield from store.pieces(inside)
        return
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            yield piece


def unreadable(uri: str, error: OSError) -> ArtifactError:
    """Make the error for an artifact that should be there."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return ArtifactError(
            f"Expected an artifact, found nothing at {uri!r}",
            hint="it was collected or removed; rebuild it with `afresh materialize --force`",
        )
    return ArtifactError(f"Expected an artifact that can be read, found: {reason(error)}: {uri!r}")


def _unwritable(uri: str, error: OSError) -> StorageUnavailable:
    hint = "check the folder's permissions"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "make room; nothing is damaged, and nothing half written is left"
    return StorageUnavailable(
        f"Expected to write an artifact, found: {reason(error)}: {uri!r}", hint=hint
    )


def reason(error: OSError) -> str:
    """Say why, in the system's words."""
    return error.strerror or str(error) or type(error).__name__
