"""Compressed files: gzip, bzip2, Zstandard, xz; with an end to what may come out of them."""

import bz2
import gzip
import io
import lzma
import zlib

import pyarrow as pa

from afresh.storage.formats.base import unreadable

SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".xz": "xz"}
MAX_BYTES = 8 << 30
"""What may come out of one file; more is taken for a trap."""
_PIECE = 1 << 20


def decompress(data: bytes, kind: str, limit: int = MAX_BYTES) -> bytes:
    """Unpack all of it. Raises UnreadableData: damaged, cut off, or more than `limit` bytes."""
    if not data:
        raise unreadable(f"Expected {kind} data, found an empty file")
    try:
        out = _unpacked(data, kind, limit)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, MemoryError) as error:
        raise unreadable(
            f"Expected {kind} data, found: {str(error) or type(error).__name__}",
            hint="the file is damaged or cut off, or its suffix is wrong",
        ) from error
    if out is None:
        raise unreadable(
            f"Expected at most {limit} bytes unpacked, found more",
            hint="unpack the file, or split it",
        )
    return out


def _unpacked(data: bytes, kind: str, limit: int) -> bytes | None:
    source = io.BytesIO(data)
    stream: pa.NativeFile | io.BufferedIOBase
    if kind == "gzip":
        stream = gzip.GzipFile(fileobj=source)
    elif kind == "bz2":
        stream = bz2.BZ2File(source)
    elif kind == "xz":
        stream = lzma.LZMAFile(source)  # noqa: SIM115 - closing it frees nothing
    else:
        stream = pa.CompressedInputStream(pa.BufferReader(data), kind)
    pieces: list[bytes] = []
    count = 0
    while piece := stream.read(_PIECE):
        count += len(piece)
        if count > limit:
            return None
        pieces.append(piece)
    return b"".join(pieces)
