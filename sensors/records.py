"""Records of a stream as bytes: what sensors stage and workers decode. No data library here."""

from collections.abc import Iterable

import msgspec

INLINE_BYTES = 64 << 10
"""A batch up to this size lies in its event's row; a larger one is staged as a file, and synced."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One message as it came.

    `channel` and `offset` are its place in the stream (of Kafka: partition and offset).
    `timestamp_ms` is milliseconds since 1970 (UTC), -1 if there is none.
    """

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int = -1
    channel: int = 0
    offset: int = -1


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


def encode_records(records: Iterable[Record]) -> bytes:
    """Write records as MessagePack."""
    return _encode(list(records))


def decode_records(data: bytes) -> list[Record]:
    """Read what `encode_records` wrote. Raises msgspec.DecodeError for anything else."""
    return _decode(data)
