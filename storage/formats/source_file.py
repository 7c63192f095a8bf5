"""Read a source's file safely: one whole state of a regular file, or an error that says why not.

The file is opened once. Its identity is compared before and after reading, and with what the path
leads to then: a mixture of two states is never returned, the caller repeats.

A symbolic link is followed only where the sensor follows it: into the folders of `inside` (the
project, the watched folder). Else anyone who may write there could have any file of the daemon's
user published. What was opened is what is checked, so a link that is moved meanwhile gains nothing.
"""

import errno
import os
import stat
from collections.abc import Collection, Mapping
from typing import NamedTuple

import pyarrow as pa
from blake3 import blake3

from afresh.assets.errors import ChangedData, UnreadableData, VanishedData
from afresh.storage.formats.base import Options, check_options, shown, with_line
from afresh.storage.formats.compression import decompress
from afresh.storage.formats.registry import detect

# Flags, descriptors and names that are no text, which pathlib has no words for:
# ruff: noqa: PTH115, PTH116, PTH119

_GONE = (errno.ENOENT, errno.ENOTDIR)


class Identity(NamedTuple):
    """What tells one state of a file from the next; the fields are those of `sensors.base`."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class SourceRead(NamedTuple):
    """What was read: the table, which state of the file, and its bytes' hash (BLAKE3, hex)."""

    table: pa.Table
    identity: Identity
    hash: str


def read_source(
    path: str,
    format: str = "",  # noqa: A002 - the word users know
    types: Mapping[str, str] | None = None,
    options: Options | None = None,
    *,
    inside: tuple[str, ...] = (),
) -> SourceRead:
    """Read a file by its format (by its suffix if `format` is empty) and the schema's types.

    `path` is absolute, as os.fsdecode gives it. Raises VanishedData when it is not there,
    ChangedData when it changed meanwhile, UnreadableData with file, row and column as far as
    known, UsageError for an unknown format or option.
    """
    name, options = os.path.basename(path), options or {}
    check_options(detect(name, format)[0], options)
    data, identity = read_file(path, inside)
    digest = blake3(data).hexdigest()
    table = decode_source(data, name, format, types or {}, options, where=show_path(path))
    return SourceRead(table, identity, digest)


def decode_source(
    data: bytes,
    name: str,
    format: str,  # noqa: A002 - the word users know
    types: Mapping[str, str],
    options: Options,
    *,
    where: str,
) -> pa.Table:
    """Decode what a file or an object of this name holds. Raises as `read_source`."""
    kind, compression = detect(name, format)
    check_options(kind, options)
    try:
        text = decompress(data, compression) if compression else data
        return kind.read(text, types, options)
    except UnreadableData as error:
        error.where = error.where or where
        if error.row is not None:
            lines = lines_of(data, name, format, {error.row}, options)
            error.error = with_line(error.error, error.row, lines)
        raise


def lines_of(
    data: bytes,
    name: str,
    format: str,  # noqa: A002 - the word users know
    rows: Collection[int],
    options: Options,
) -> dict[int, int]:
    """Find the lines of a text file that rows begin in, both from 1, as far as it has such."""
    kind, compression = detect(name, format)
    find = getattr(kind, "lines", None)
    if find is None or not rows:
        return {}
    data = decompress(data, compression) if compression else data
    found: dict[int, int] = find(data, rows, options)
    return found


def read_file(path: str, inside: tuple[str, ...] = ()) -> tuple[bytes, Identity]:
    """Read one state of a regular file. Raises as `read_source`."""
    try:
        descriptor = _open(path, inside)
        try:
            before = os.fstat(descriptor)
            _check_regular(path, before)
            data = _read(descriptor, before.st_size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        there = os.stat(path)
    except OSError as error:
        raise _explained(path, error) from error
    states = {_identity(status) for status in (before, after, there)}
    if len(states) > 1 or len(data) != before.st_size:
        raise ChangedData(
            "Expected a file that is complete, found that it changed while it was read",
            hint="it is read again",
            where=show_path(path),
        )
    return data, _identity(before)


def show_path(path: str) -> str:
    """Show a path on one line, with nothing in it that moves a terminal."""
    clean = os.fsencode(path).decode("utf-8", "backslashreplace")
    return clean if clean.isprintable() else ascii(clean)[1:-1]


def _open(path: str, inside: tuple[str, ...]) -> int:
    # Without O_NONBLOCK the opening of a FIFO would wait for a writer for ever.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        return os.open(path, flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    descriptor = os.open(path, flags)
    real = os.readlink(f"/proc/self/fd/{descriptor}")
    if any(real.startswith(os.path.realpath(folder).rstrip("/") + "/") for folder in inside):
        return descriptor
    os.close(descriptor)
    raise UnreadableData(
        f"Expected a file inside the project, found a symbolic link to {shown(real)}",
        hint="copy the file, or watch the folder that it lies in",
        where=show_path(path),
    )


def _read(descriptor: int, size: int) -> bytes:
    """Read to the end; one byte more is asked for, to see a file that grows."""
    pieces = []
    while piece := os.read(descriptor, max(size + 1, 1 << 16)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _check_regular(path: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device"}
    kinds |= {stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
    raise UnreadableData(
        f"Expected a regular file, found {kinds.get(stat.S_IFMT(status.st_mode), 'none')}",
        where=show_path(path),
    )


def _identity(status: os.stat_result) -> Identity:
    return Identity(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _explained(path: str, error: OSError) -> VanishedData | UnreadableData:
    if error.errno in _GONE:
        return VanishedData("Expected a file, found nothing", where=show_path(path))
    if error.errno == errno.ENXIO:
        return UnreadableData("Expected a regular file, found a socket", where=show_path(path))
    hint = "give afresh's user the right to read it" if error.errno == errno.EACCES else ""
    return UnreadableData(
        f"Expected a file that can be read, found: {error.strerror or error}",
        hint=hint,
        where=show_path(path),
    )
