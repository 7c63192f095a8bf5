"""The process of a custom sensor: runs one async generator, and waits for each acknowledgement.

Started by `daemon.sensing` as `python -P -m afresh.daemon.workers.sensing FD PARENT`.
"""

import os
import resource
import socket
import sys
import traceback
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from afresh.daemon.api.stream import LocalStream
from afresh.daemon.sensing_wire import (
    BEAT_SECONDS,
    Ack,
    Beat,
    Begin,
    Ended,
    Failed,
    Rows,
    Setup,
    decode_to_child,
    frame,
    read_frame,
)
from afresh.daemon.workers.linux import adopt_orphans, end_with_parent, offer_to_oom_killer
from afresh.daemon.workers.modules import import_modules, last_place
from afresh.sensors.records import Record, encode_records

_json = msgspec.json.Encoder().encode


def main(number: int, parent: int) -> None:
    """Serve one generator until the daemon hangs up."""
    end_with_parent(parent)
    adopt_orphans()
    offer_to_oom_killer()
    control = socket.socket(fileno=number)
    control.set_inheritable(False)
    anyio.run(_serve, control)


async def _serve(control: socket.socket) -> None:
    stream = LocalStream(control)
    channel = _Channel(stream)
    setup = await channel.receive()
    assert isinstance(setup, Setup)
    resource.setrlimit(resource.RLIMIT_DATA, (setup.memory_bytes, setup.memory_bytes))
    os.chdir(setup.project)
    poll = await _load(setup, channel)
    if poll is None:
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(channel.beat)
        try:
            while isinstance(begin := await channel.receive(), Begin):
                await _go_through(poll(msgspec.json.decode(begin.cursor)), channel)
                await channel.send(Ended())
        except anyio.EndOfStream:
            pass
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises is told
            await channel.send(_told(error, setup.snapshot))
        tasks.cancel_scope.cancel()


async def _load(setup: Setup, channel: "_Channel") -> Callable[[Any], Any] | None:
    """Import the module as the definitions were loaded; None when that failed, which is told."""
    _, problems = import_modules(setup.snapshot, [setup.module])
    for problem in problems:
        where = str(problem.where) if problem.where else ""
        await channel.send(Failed(problem.error, problem.hint, where))
        return None
    found: Callable[[Any], Any] = getattr(sys.modules[setup.module], setup.name)
    return found


async def _go_through(found: AsyncGenerator[Any, None], channel: "_Channel") -> None:
    """Hand on each step; the generator goes on when it is durable."""
    number = 0
    try:
        async for step in found:
            number += 1
            rows, cursor = _step(step)
            await channel.send(Rows(number, encode_records(rows), _json(cursor).decode()))
            answer = await channel.receive()
            assert answer == Ack(number)
    finally:
        with anyio.move_on_after(1, shield=True):
            await found.aclose()


def _step(step: Any) -> tuple[list[Record], Any]:
    if not isinstance(step, tuple) or len(step) != 2:
        raise TypeError(f"Expected `yield rows, cursor`, found {type(step).__name__}")
    rows, cursor = step
    if rows is None:
        rows = ()
    elif isinstance(rows, dict | str | bytes | Record):
        rows = (rows,)
    return [_record(row) for row in rows], cursor


def _record(row: Any) -> Record:
    if isinstance(row, Record):
        return row
    if isinstance(row, bytes):
        return Record(row)
    return Record(row.encode() if isinstance(row, str) else _json(row))


def _told(error: Exception, root: str) -> Failed:
    """Say what was raised, and in which line of the project."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    traceback.print_exception(error)
    where = last_place(error.__traceback__, root)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failed(text[:2000], "its log has the traceback", str(where) if where else "")


class _Channel:
    """Frames to and from the daemon."""

    def __init__(self, stream: LocalStream) -> None:
        self._stream = stream
        self._buffered = BufferedByteReceiveStream(stream)
        self._lock = anyio.Lock()

    async def send(self, message: msgspec.Struct) -> None:
        async with self._lock:
            await self._stream.send(frame(message))

    async def receive(self) -> Any:
        return decode_to_child(await read_frame(self._buffered))

    async def beat(self) -> None:
        """Say that the event loop is not blocked."""
        while True:
            await self.send(Beat())
            await anyio.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
