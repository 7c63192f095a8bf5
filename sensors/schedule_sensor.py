"""The sensor of a schedule: each tick is an arrival with one record, `{"scheduled_at", "tick"}`.

Its clock is the daemon's, looked at again every few seconds: a machine that slept, or a clock that
was set, makes ticks late and never double. The cursor is up to when all ticks are dealt with.
"""

from datetime import UTC, datetime

import anyio
import msgspec

from afresh.assets.policy import Schedule
from afresh.assets.schedule import find_due, next_fire
from afresh.sensors.base import Arrival, Batch, Emit, Health, SensorContext
from afresh.sensors.records import Record, encode_records

LONGEST_SLEEP_SECONDS = 10.0


class Place(msgspec.Struct, frozen=True):
    """Up to when all ticks are dealt with, and the number of the last one."""

    until: float
    tick: int = 0


class Tick(msgspec.Struct, frozen=True):
    """What a tick's record says: when it was due (ISO 8601, UTC), and its number from 1."""

    scheduled_at: str
    tick: int


class ScheduleSensor:
    """Emits the ticks of one schedule."""

    kind = "schedule"

    def __init__(self, context: SensorContext) -> None:
        self.name = context.source.name
        self.checked = False
        self._context = context
        options = context.source.sensor.options
        self._schedule: Schedule = msgspec.convert(options, Schedule)
        self._place = msgspec.json.decode(context.cursor, type=Place) if context.cursor else None
        self._health = Health("scanning")
        self._looking = anyio.Lock()
        self._emit: Emit | None = None

    @property
    def health(self) -> Health:
        """How it is; nothing can fail but the ledger."""
        return self._health

    @property
    def is_quiet(self) -> bool:
        """Are all ticks that it gave acknowledged."""
        return not self._looking.locked()

    async def run(self, emit: Emit) -> None:
        """Give each tick when its time has come, until cancelled."""
        self._emit = emit
        try:
            while True:
                await self._look(emit)
                await anyio.sleep(self._seconds_to_next())
        finally:
            self._emit = None

    async def scan(self, *, accept: bool = False) -> int:
        """Give what is due now; how many ticks that were."""
        del accept
        return await self._look(self._emit) if self._emit is not None else 0

    async def _look(self, emit: Emit) -> int:
        """Give what is due; of many that were missed, in several batches."""
        given = 0
        async with self._looking:
            while True:
                count = await self._give(emit)
                given += count
                if not count:
                    break
        self._tell()
        return given

    async def _give(self, emit: Emit) -> int:
        now = self._context.now()
        if self._place is None:
            # A schedule begins with the first look at it; what is earlier was never missed.
            await self._acknowledge(emit, Place(now), ())
            return 0
        due = find_due(self._schedule, self.name, self._place.until, now)
        if due.until == self._place.until:
            return 0
        arrivals = tuple(
            self._arrival(Tick(_iso(at), self._place.tick + number), at, now)
            for number, at in enumerate(due.ticks, start=1)
        )
        await self._acknowledge(emit, Place(due.until, self._place.tick + len(arrivals)), arrivals)
        return len(arrivals)

    async def _acknowledge(self, emit: Emit, place: Place, arrivals: tuple[Arrival, ...]) -> None:
        await emit(Batch(self.name, arrivals, msgspec.json.encode(place).decode()))
        self._place = place

    def _arrival(self, tick: Tick, at: float, now: float) -> Arrival:
        value = msgspec.json.encode(tick)
        record = Record(value, timestamp_ms=round(at * 1000), offset=tick.tick)
        return Arrival(
            f"schedule://{self.name}/{tick.tick}",
            "tick",
            "",
            now,
            payload=encode_records([record]),
            position=value.decode(),
        )

    def _seconds_to_next(self) -> float:
        assert self._place is not None
        at = next_fire(self._schedule, self.name, self._place.until)
        if at is None:
            return LONGEST_SLEEP_SECONDS
        return min(max(0.0, at - self._context.now()), LONGEST_SLEEP_SECONDS)

    def _tell(self) -> None:
        place, note = self._place, ""
        if place is not None and place.until > self._context.now():
            note = f"its last tick, {_iso(place.until)}, lies ahead: the clock was set back"
        health = Health("watching", note=note)
        if health != self._health or not self.checked:
            self._health, self.checked = health, True
            self._context.tell()


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def build(context: SensorContext) -> ScheduleSensor:
    """Build the sensor of a source with a schedule."""
    return ScheduleSensor(context)
