"""What the daemon and its processes say to each other, and how it travels.

A frame is four bytes of length (little endian) and that much MessagePack. File descriptors
travel beside the first bytes of a frame (SCM_RIGHTS).
"""

import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from afresh.daemon.workers.task import Result, Task

HEADER = 4
_CHUNK = 1 << 18
_MOST_FDS = 4


class Plan(msgspec.Struct, frozen=True):
    """What a generation is made of. `parameters` is JSON, `last_good` a manifest as MessagePack."""

    digest: str
    snapshot: str
    modules: tuple[str, ...]
    parameters: str
    project: str
    state_dir: str
    memory_bytes: int
    last_good: bytes = b""


class Load(msgspec.Struct, frozen=True, tag=True):
    """Daemon to base: fork a generation server; its control socket comes beside."""

    plan: Plan
    log: str


class Give(msgspec.Struct, frozen=True, tag=True):
    """Daemon to worker: a task. `path` is the task's as bytes: a name need not be UTF-8."""

    task: Task
    path: bytes = b""


class Go(msgspec.Struct, frozen=True, tag=True):
    """Daemon to worker, after each task: its run is recorded, what it does may leave traces now."""


class Fork(msgspec.Struct, frozen=True, tag=True):
    """Daemon to generation: fork a worker; its task socket and its output pipe come beside."""

    seat: int


class Kill(msgspec.Struct, frozen=True, tag=True):
    """Daemon to generation: kill a worker and all that it started."""

    seat: int


class Began(msgspec.Struct, frozen=True, tag=True):
    """Generation to daemon: its process, which is about to import user code."""

    pid: int


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """Generation to daemon: the definitions are loaded. `note` says why workers are not forked."""

    manifest: bytes
    note: str = ""


class Unloadable(msgspec.Struct, frozen=True, tag=True):
    """Generation to daemon: loading itself failed, which is not the definitions' fault."""

    error: str


class Started(msgspec.Struct, frozen=True, tag=True):
    """Generation to daemon: the worker's process."""

    seat: int
    pid: int


class Ended(msgspec.Struct, frozen=True, tag=True):
    """Generation to daemon: a worker and its group ended; `status` as waitpid gives it."""

    seat: int
    status: int


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Worker to daemon: warm, give me a task."""


class Answer(msgspec.Struct, frozen=True, tag=True):
    """Worker to daemon: what came of the task; `retire` is why it ends now ("": it goes on)."""

    result: Result
    retire: str = ""


ToGeneration = Fork | Kill
FromGeneration = Began | Prepared | Unloadable | Started | Ended
FromWorker = Ready | Answer

_encoder = msgspec.msgpack.Encoder()
decode_load = msgspec.msgpack.Decoder(Load).decode
decode_to_generation = msgspec.msgpack.Decoder(Fork | Kill).decode
decode_from_generation = msgspec.msgpack.Decoder(
    Began | Prepared | Unloadable | Started | Ended
).decode
decode_from_worker = msgspec.msgpack.Decoder(Ready | Answer).decode
_decode_give = msgspec.msgpack.Decoder(Give).decode


def encode(message: Any) -> bytes:
    """Make a frame."""
    buffer = bytearray(HEADER)
    _encoder.encode_into(message, buffer, HEADER)
    buffer[:HEADER] = (len(buffer) - HEADER).to_bytes(HEADER, "little")
    return bytes(buffer)


GO = encode(Go())


def encode_task(task: Task) -> bytes:
    """Make the frame that gives a task to a worker."""
    path = os.fsencode(task.path)
    return encode(Give(msgspec.structs.replace(task, path="") if path else task, path))


def decode_task(body: bytes) -> Task:
    """Read a task that was given."""
    give = _decode_give(body)
    if not give.path:
        return give.task
    return msgspec.structs.replace(give.task, path=os.fsdecode(give.path))


class Frames:
    """Cuts a stream of bytes into the bodies of frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what came; give each frame's body that is now complete."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEADER:
            end = HEADER + int.from_bytes(buffer[:HEADER], "little")
            if len(buffer) < end:
                return
            body = bytes(buffer[HEADER:end])
            del buffer[:end]
            yield body


def send(sock: socket.socket, message: Any, fds: Sequence[int] = ()) -> None:
    """Send a whole frame on a blocking socket."""
    frame = encode(message)
    sent = socket.send_fds(sock, [frame], fds) if fds else sock.send(frame)
    if sent < len(frame):
        sock.sendall(frame[sent:])


def receive(sock: socket.socket) -> tuple[bytes, list[int]] | None:
    """Receive one frame's body and what came beside, on a blocking socket; None at the end.

    Reads no byte beyond it: descriptors of the next frame stay with that.
    """
    data, fds, _, _ = socket.recv_fds(sock, HEADER, _MOST_FDS)
    for descriptor in fds:
        os.set_inheritable(descriptor, False)  # recv_fds does not pass MSG_CMSG_CLOEXEC on
    if not data:
        return None
    while len(data) < HEADER:
        more = sock.recv(HEADER - len(data))
        if not more:
            return None
        data += more
    left = int.from_bytes(data, "little")
    pieces = []
    while left:
        piece = sock.recv(min(left, _CHUNK))
        if not piece:
            return None
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces), fds
