"""What the daemon and the process of a custom sensor say to each other.

A frame is four bytes of length (little endian) and that much MessagePack.
"""

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from afresh.assets.errors import SensorError

HEADER = 4
MOST_BYTES = 64 << 20
BEAT_SECONDS = 1.0


class Setup(msgspec.Struct, frozen=True, tag=True):
    """Daemon, first: which generator of which snapshot."""

    snapshot: str
    project: str
    module: str
    name: str
    memory_bytes: int


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Daemon: call it with this cursor (JSON)."""

    cursor: str


class Ack(msgspec.Struct, frozen=True, tag=True):
    """Daemon: the step of this number is durable."""

    number: int


class Beat(msgspec.Struct, frozen=True, tag=True):
    """Process: its event loop is not blocked."""


class Rows(msgspec.Struct, frozen=True, tag=True):
    """Process: a step; `records` as `sensors.records` writes them, the cursor as JSON."""

    number: int
    records: bytes
    cursor: str


class Ended(msgspec.Struct, frozen=True, tag=True):
    """Process: the generator has come to its end."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Process: it cannot go on, and ends."""

    error: str
    hint: str = ""
    where: str = ""


FromChild = Beat | Rows | Ended | Failed
_encode = msgspec.msgpack.Encoder().encode
decode_to_child = msgspec.msgpack.Decoder(Setup | Begin | Ack).decode
decode_from_child = msgspec.msgpack.Decoder(Beat | Rows | Ended | Failed).decode


def frame(message: msgspec.Struct) -> bytes:
    """Write a frame. Raises ValueError for one that is too large."""
    body = _encode(message)
    if len(body) > MOST_BYTES:
        raise ValueError(
            f"Expected at most {MOST_BYTES >> 20} MB in one step, found {len(body) >> 20} MB:"
            " yield the rows in parts"
        )
    return len(body).to_bytes(HEADER, "little") + body


async def read_frame(stream: BufferedByteReceiveStream) -> bytes:
    """Read a frame's message. Raises EndOfStream, IncompleteRead, SensorError for no frame."""
    try:
        size = int.from_bytes(await stream.receive_exactly(HEADER), "little")
    except anyio.IncompleteRead as error:
        raise anyio.EndOfStream from error
    if size > MOST_BYTES:
        raise SensorError("Expected a frame of the sensor's process, found something else")
    return await stream.receive_exactly(size)
