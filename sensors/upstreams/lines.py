"""Follows a file of JSON Lines: each whole line is a record, its place is the cursor."""

import os

import anyio
import anyio.to_thread
import msgspec

from afresh.assets.errors import SensorError
from afresh.sensors.base import Arrival, Batch, Emit, Health, SensorContext
from afresh.sensors.records import Record, encode_records

POLL_SECONDS = 0.2
AT_ONCE_BYTES = 1 << 20


class Place(msgspec.Struct, frozen=True):
    """Up to where which file was read."""

    inode: int = 0
    offset: int = 0


class LineSensor:
    """One file. When another takes its place, the rest of the old one is read first."""

    kind = "lines"

    def __init__(self, context: SensorContext) -> None:
        self.name = context.source.name
        self.checked = False
        self.is_quiet = True
        self._path = str(context.source.sensor.options["file"])
        self._now = context.now
        self._tell = context.tell
        self._place = msgspec.json.decode(context.cursor, type=Place) if context.cursor else Place()
        self._health = Health("scanning")
        self._file = -1

    @property
    def health(self) -> Health:
        """How it is."""
        return self._health

    async def scan(self, *, accept: bool = False) -> int:
        """Find nothing by itself: it looks all the time."""
        del accept
        return 0

    async def run(self, emit: Emit) -> None:
        """Follow until cancelled. A file that is not there yet is waited for."""
        try:
            while True:
                try:
                    taken = await self._step(emit)
                except OSError as error:
                    raise SensorError(
                        f"Expected to read {self._path!r}, found {error.strerror}",
                        hint="the daemon's user must be able to read it",
                    ) from error
                if not taken:
                    if not self.checked:
                        self.checked = True
                        self._health = Health("watching")
                        self._tell()
                    await anyio.sleep(POLL_SECONDS)
        finally:
            self._close()

    async def _step(self, emit: Emit) -> bool:
        """Take some lines; False when there are none."""
        if self._file < 0 and not self._open():
            return False
        data = await anyio.to_thread.run_sync(
            os.pread, self._file, AT_ONCE_BYTES, self._place.offset
        )
        whole = data[: data.rfind(b"\n") + 1]
        if whole:
            await self._take(whole, emit)
            return True
        if len(data) == AT_ONCE_BYTES:
            raise SensorError(f"Expected lines in {self._path!r}, found none within 1 MB")
        if self._is_replaced():
            # What it was is read to its end: a part of a line stays one.
            self._close()
            self._place = Place()
            return self._open()
        return False

    async def _take(self, whole: bytes, emit: Emit) -> None:
        place = Place(self._place.inode, self._place.offset + len(whole))
        records = [Record(line) for line in whole.splitlines() if line.strip()]
        cursor = msgspec.json.encode(place).decode()
        uri = f"lines:{place.inode}/{self._place.offset}"
        arrival = Arrival(uri, "arrived", "", self._now(), payload=encode_records(records))
        self.is_quiet = False
        try:
            await emit(Batch(self.name, (arrival,) if records else (), cursor))
        finally:
            self.is_quiet = True
        self._place = place

    def _open(self) -> bool:
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        found = os.fstat(self._file)
        if found.st_ino != self._place.inode or found.st_size < self._place.offset:
            self._place = Place(found.st_ino, 0)
        return True

    def _is_replaced(self) -> bool:
        try:
            there = os.stat(self._path)  # noqa: PTH116 - a string, looked at five times a second
        except FileNotFoundError:
            return False
        mine = os.fstat(self._file)
        return there.st_ino != mine.st_ino or mine.st_size < self._place.offset

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
