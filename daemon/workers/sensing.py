"""The process of a custom sensor: runs one async generator, and waits for each acknowledgement.

Started by `daemon.sensing` as `python -P -m afresh.daemon.workers.sensing FD PARENT`.
"""

import json
import os
import resource
import socket
import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from afresh.assets.manifest import Where
from afresh.daemon.api.stream import LocalStream
from afresh.daemon.sensing.custom_wire import (
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
from afresh.daemon.workers.modules import import_modules, last_place, relative
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
            try:
                rows = _rows(number, step)
            except (TypeError, ValueError, OverflowError) as error:
                raise _WrongStep(str(error), found) from error
            await channel.send(rows)
            answer = await channel.receive()
            assert answer == Ack(number)
    finally:
        with anyio.move_on_after(1, shield=True):
            await found.aclose()


class _WrongStep(Exception):
    """What was yielded cannot be taken. The generator stands at its `yield`."""

    def __init__(self, error: str, found: AsyncGenerator[Any, None]) -> None:
        super().__init__(error)
        frame = found.ag_frame  # type: ignore[attr-defined]
        self.file, self.line = frame.f_code.co_filename, frame.f_lineno


def _rows(number: int, step: Any) -> Rows:
    if not isinstance(step, tuple) or len(step) != 2:
        raise TypeError(f"Expected `yield rows, cursor`, found {type(step).__name__}")
    rows, cursor = step
    if rows is None:
        rows = ()
    elif isinstance(rows, dict | str | bytes | Record):
        rows = (rows,)
    if not isinstance(rows, Iterable):
        raise TypeError(f"Expected rows as a list, found {type(rows).__name__}")
    try:
        # NaN would become null, and the sensor begin anew.
        json.dumps(msgspec.to_builtins(cursor), allow_nan=False)
        place = _json(cursor).decode()
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"Expected a cursor that JSON can say, found {cursor!r:.100}") from error
    return Rows(number, encode_records([_record(row) for row in rows]), place)


def _record(row: Any) -> Record:
    if isinstance(row, Record):
        return row
    if isinstance(row, bytes):
        return Record(row)
    if isinstance(row, str):
        return Record(row.encode())
    try:
        return Record(_json(row))
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"Expected a row that JSON can say, found {row!r:.100}") from error


def _told(error: Exception, root: str) -> Failed:
    """Say what was raised, and in which line of the project."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, _WrongStep):
        traceback.print_exception(error.__cause__)
        inside = error.file.startswith(root + os.sep)
        where = Where(relative(error.file, root), error.line) if inside else None
        return Failed(str(error)[:2000], "correct what it yields", str(where) if where else "")
    traceback.print_exception(error)
    where = last_place(error.__traceback__, root)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    hint = "its log has the traceback"
    if isinstance(error, MemoryError):
        text = "Expected less memory than its memory_mb, found MemoryError"
        hint = "give it more, or read in smaller pieces"
    return Failed(text[:2000], hint, str(where) if where else "")


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
