"""Schedules: when a cron expression or an interval ticks. Pure: instants in, instants out.

Instants are seconds since 1970 (UTC). A cron expression speaks of wall-clock times of its zone, and
each of them ticks once: one that the clocks skip at the end of the gap, one that comes twice at its
first coming. What falls on one instant is one tick.
"""

# hashlib's own, without OpenSSL: 2 ms of a start.
from _blake2 import blake2b
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from math import floor
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from afresh.assets.policy import Every, Schedule

GRACE_SECONDS = 60.0
"""A tick that is later than this was missed: the daemon was down, or the machine asleep."""
MOST_AT_ONCE = 1000
"""Missed ticks that are given in one piece; the rest follows."""
_SECOND = timedelta(seconds=1)


class Due(NamedTuple):
    """The ticks to act on, oldest first, and up to which tick all is now dealt with."""

    ticks: tuple[float, ...]
    until: float


def next_tick(schedule: Schedule, instant: float) -> float | None:
    """Find the first tick later than an instant; None if there is none in 50 years."""
    if isinstance(schedule, Every):
        return _next_multiple(schedule, instant)
    wall, _ = _wall_of(instant, schedule.tz)
    for each in CronSim(schedule.expression, wall):
        tick = _instant_of(each, schedule.tz)
        if tick > instant:
            return tick
    return None


def last_tick(schedule: Schedule, instant: float) -> float | None:
    """Find the last tick that is not later than an instant; None if none was in 50 years."""
    if isinstance(schedule, Every):
        return _last_multiple(schedule, instant)
    wall, repeated = _wall_of(instant, schedule.tz)
    for each in CronSim(schedule.expression, wall + repeated + _SECOND, reverse=True):
        tick = _instant_of(each, schedule.tz)
        if tick <= instant:
            return tick
    return None


def ticks_after(schedule: Schedule, instant: float) -> Iterator[float]:
    """Give all ticks later than an instant, in order."""
    tick = next_tick(schedule, instant)
    while tick is not None:
        yield tick
        tick = next_tick(schedule, tick)


def fires_at(schedule: Schedule, name: str, tick: float) -> float:
    """When a tick is acted on: its jitter later, and before the next one is."""
    if not schedule.jitter_seconds:
        return tick
    digest = blake2b(f"{name}\0{tick:.3f}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / (1 << 64)
    after = next_tick(schedule, tick)
    room = schedule.jitter_seconds if after is None else after - tick
    return tick + min(schedule.jitter_seconds, room) * share


def next_fire(schedule: Schedule, name: str, since: float) -> float | None:
    """When the first tick later than `since` is acted on."""
    tick = next_tick(schedule, since)
    return None if tick is None else fires_at(schedule, name, tick)


def find_due(schedule: Schedule, name: str, since: float, now: float) -> Due:
    """Find what to do about the ticks later than `since`, up to now.

    Of several the last one stands for all, unless `missed` is "all". With "none" a tick that is
    later than `GRACE_SECONDS` is passed over.
    """
    if schedule.missed == "all":
        fired = (
            tick for tick in _until(schedule, since, now) if fires_at(schedule, name, tick) <= now
        )
        ticks = tuple(islice(fired, MOST_AT_ONCE))
        return Due(ticks, ticks[-1] if ticks else since)
    last = last_tick(schedule, now)
    if last is not None and fires_at(schedule, name, last) > now:
        last = last_tick(schedule, last - 0.001)
    if last is None or last <= since:
        return Due((), since)
    late = now - fires_at(schedule, name, last)
    if schedule.missed == "none" and late > GRACE_SECONDS:
        return Due((), last)
    return Due((last,), last)


def _next_multiple(every: Every, instant: float) -> float:
    number = floor(instant / every.period_seconds) + 1
    tick = number * every.period_seconds
    return tick if tick > instant else (number + 1) * every.period_seconds


def _last_multiple(every: Every, instant: float) -> float:
    number = floor(instant / every.period_seconds)
    tick = number * every.period_seconds
    return tick if tick <= instant else (number - 1) * every.period_seconds


def _until(schedule: Schedule, since: float, now: float) -> Iterator[float]:
    for tick in ticks_after(schedule, since):
        if tick > now:
            return
        yield tick


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _wall_of(instant: float, tz: str) -> tuple[datetime, timedelta]:
    """Tell what the clocks show, and by how much of it they have shown before (a repeated hour)."""
    aware = datetime.fromtimestamp(floor(instant), UTC).astimezone(_zone(tz))
    wall = aware.replace(tzinfo=None)
    if not aware.fold:
        return wall, timedelta(0)
    before = aware.replace(fold=0).utcoffset() or timedelta(0)
    return wall, before - (aware.utcoffset() or timedelta(0))


def _instant_of(wall: datetime, tz: str) -> float:
    """Find when the clocks first show a time; the end of the gap if they never do."""
    zone = _zone(tz)
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first.timestamp()
    # In a gap the offset before it leads beyond its end, the one after it to before its begin.
    high = floor(first.timestamp())
    low = floor(wall.replace(tzinfo=zone, fold=1).astimezone(UTC).timestamp())
    before = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return float(high)
