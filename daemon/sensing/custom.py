"""A custom sensor: the user's generator in a process of its own, from the daemon's side.

Whatever it does costs that process: it is ended with all that it started, and run again later.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from afresh.assets.errors import SensorError
from afresh.daemon.api.stream import LocalStream
from afresh.daemon.sensing.custom_wire import (
    Ack,
    Beat,
    Begin,
    Ended,
    Failed,
    FromChild,
    Rows,
    Setup,
    decode_from_child,
    frame,
    read_frame,
)
from afresh.daemon.workers.linux import kill_group
from afresh.daemon.workers.output import CAP_BYTES, Output
from afresh.sensors.base import Arrival, Batch, Emit, Health, SensorContext
from afresh.sensors.records import INLINE_BYTES, decode_records
from afresh.sensors.staged import stage

START_SECONDS = 120.0
"""How long the import of the user's module may take."""
ENDING_SECONDS = 5.0
BUSY_SECONDS = 3.0
_NOTHING = b"\x90"


class Options(msgspec.Struct, frozen=True):
    """What `custom(...)` put into the manifest."""

    module: str
    name: str
    start: str
    every_seconds: float
    stall_seconds: float
    timeout_seconds: float | None
    memory_bytes: int


class CustomSensor:
    """One generator. Its cursor is the ledger's: what is not durable is found again."""

    kind = "custom"

    def __init__(self, context: SensorContext) -> None:
        self.name = context.source.name
        self.checked = False
        self._context = context
        self._options = msgspec.convert(context.source.sensor.options, Options)
        self._cursor = context.cursor or self._options.start
        self._health = Health("scanning")
        self._busy = False
        self._heard = False
        self._number = 0

    @property
    def health(self) -> Health:
        """How it is."""
        return self._health

    @property
    def is_quiet(self) -> bool:
        """Is all that it yielded acknowledged."""
        return not self._busy

    async def scan(self, *, accept: bool = False) -> int:
        """Find nothing: it looks by itself."""
        del accept
        return 0

    async def run(self, emit: Emit) -> None:
        """Let it run until cancelled. Raises SensorError when it failed, hangs or is gone."""
        options = self._options
        self._heard = False
        async with _process(self._log_path()) as (process, stream):
            frames = BufferedByteReceiveStream(stream)
            setup = Setup(
                self._context.snapshot,
                self._context.project,
                options.module,
                options.name,
                options.memory_bytes,
            )
            try:
                await stream.send(frame(setup))
                while True:
                    await stream.send(frame(Begin(self._cursor)))
                    await self._follow(stream, frames, emit)
                    self._check()
                    await anyio.sleep(options.every_seconds)
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                raise await _death(process) from None

    async def _follow(
        self, stream: LocalStream, frames: BufferedByteReceiveStream, emit: Emit
    ) -> None:
        """Take the steps of one call of the generator."""
        began_at = called_at = anyio.current_time()
        idle = False
        while True:
            message = await self._next(frames, began_at)
            if isinstance(message, Ended):
                return
            if isinstance(message, Failed):
                raise SensorError(message.error, hint=message.hint, where=message.where)
            if isinstance(message, Beat):
                # A second without rows: what was there at the start has been looked at. Who has
                # rows all the time is not waited for.
                if idle or anyio.current_time() - called_at > BUSY_SECONDS:
                    self._check()
                idle = True
                continue
            idle = False
            await self._record(message, emit)
            await stream.send(frame(Ack(message.number)))
            began_at = anyio.current_time()

    async def _next(self, frames: BufferedByteReceiveStream, began_at: float) -> FromChild:
        """Wait for what it says next. Raises SensorError when it says nothing for too long."""
        options = self._options
        patience = options.stall_seconds if self._heard else START_SECONDS
        try:
            with anyio.fail_after(patience):
                message: FromChild = decode_from_child(await read_frame(frames))
        except TimeoutError:
            raise SensorError(
                f"Expected a sign of life within {patience:g} s, found that the event loop of"
                f" {options.module}.{options.name} is blocked",
                hint="await what takes time, or do it in a thread",
            ) from None
        except msgspec.DecodeError:
            raise SensorError("Expected the sensor's process, found other bytes") from None
        self._heard = True
        limit = options.timeout_seconds
        if limit is not None and anyio.current_time() - began_at > limit:
            raise SensorError(
                f"Expected a step within {limit:g} s, found none",
                hint="timeout=None lets it take as long as it likes",
            )
        return message

    async def _record(self, rows: Rows, emit: Emit) -> None:
        self._busy = True
        try:
            arrivals: tuple[Arrival, ...] = ()
            if rows.records != _NOTHING:
                decode_records(rows.records)
                arrivals = (await self._arrival(rows.records),)
            await emit(Batch(self.name, arrivals, rows.cursor))
        except msgspec.DecodeError:
            raise SensorError("Expected records of the sensor, found other bytes") from None
        finally:
            self._busy = False
        self._cursor = rows.cursor

    async def _arrival(self, records: bytes) -> Arrival:
        self._number += 1
        now, staged = self._context.now(), ""
        if len(records) > INLINE_BYTES:
            path = Path(self._context.staging, f"{self._context.random.getrandbits(128):032x}")
            await anyio.to_thread.run_sync(stage, path, records)
            records, staged = b"", str(path)
        uri = f"custom:{self._options.module}.{self._options.name}/{int(now * 1000)}-{self._number}"
        return Arrival(uri, "arrived", "", now, payload=records, staged=staged)

    def _check(self) -> None:
        if not self.checked or self._health.state != "watching":
            self.checked = True
            self._health = Health("watching")
            self._context.tell()

    def _log_path(self) -> str:
        # Beside the folder of what is staged, where the runs' are.
        return str(Path(self._context.staging).parents[1] / "logs" / f"sensor-{self.name}.log")


@asynccontextmanager
async def _process(log: str) -> AsyncIterator[tuple["subprocess.Popen[bytes]", LocalStream]]:
    """Start a process, and end it with all of its group whatever happens."""
    ours, theirs = socket.socketpair()
    stream = LocalStream(ours)
    output = Output()
    _shorten(log)
    output.begin(log)
    number = theirs.fileno()
    failure: Exception | None = None
    try:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter; 2 ms
            [
                sys.executable,
                "-P",
                "-m",
                "afresh.daemon.workers.sensing",
                str(number),
                str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output.write,
            stderr=output.write,
            pass_fds=(number,),
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        output.close()
        raise SensorError(f"Expected to start a process, found {error.strerror}") from error
    finally:
        theirs.close()
        output.started()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(output.drain)
            try:
                yield process, stream
            except Exception as error:  # noqa: BLE001 - raised below, not wrapped by the group
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
    finally:
        kill_group(process.pid)
        # One that waits for a dead server ends when that answers: nobody waits for it.
        with anyio.move_on_after(ENDING_SECONDS, shield=True):
            while process.poll() is None:  # noqa: ASYNC110 - it was killed: it ends in a moment
                await anyio.sleep(0.001)
        await stream.aclose()
        output.close()


def _shorten(log: str) -> None:
    """Begin a log anew that has become long; else what the last process said stays."""
    path = Path(log)
    if path.exists() and path.stat().st_size >= CAP_BYTES:
        path.unlink()


async def _death(process: "subprocess.Popen[bytes]") -> SensorError:
    """Say how its process ended."""
    with anyio.move_on_after(ENDING_SECONDS):
        while process.poll() is None:  # noqa: ASYNC110 - it hung up: it ends in a moment
            await anyio.sleep(0.01)
    code = process.returncode
    hint = "its log says what it printed last"
    if code is None:
        return SensorError("Expected the sensor's process to answer, found that it hung up")
    if code >= 0:
        return SensorError(f"its process ended itself with exit code {code}", hint=hint)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return SensorError(f"its process was ended by {name}", hint=hint)


def build(context: SensorContext) -> CustomSensor:
    """Make the sensor of a source."""
    return CustomSensor(context)
