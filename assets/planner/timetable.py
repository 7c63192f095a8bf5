"""Which schedules of refresh policies tick when. Asking for the next one costs nothing."""

from heapq import heappop, heappush

import msgspec
from msgspec import Struct

from afresh.assets.policy import Schedule


class Entry(Struct, eq=False):
    """A plan's schedule; the ticks up to `since` are dealt with, `fire_at` is when the next is."""

    schedule: Schedule
    since: float | None
    fire_at: float | None = None


class Ticks(Struct, frozen=True):
    """What a schedule comes to: the tick to act on, if any, and up to when all is dealt with."""

    name: str
    tick: float | None
    until: float


class Timetable:
    """The schedules by the plan's name."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._heap: list[tuple[float, str]] = []
        self._new: dict[str, None] = {}

    def put(self, name: str, schedule: Schedule, since: float | None) -> None:
        """Take in a schedule; without `since` it begins with the first look at it."""
        if schedule.missed == "all":
            # One run makes up for all of them.
            schedule = msgspec.structs.replace(schedule, missed="last")
        self._entries[name] = Entry(schedule, since)
        if since is None:
            self._new[name] = None
        else:
            self._push(name)

    def advance(self, name: str, until: float) -> None:
        """All ticks up to then are dealt with."""
        entry = self._entries.get(name)
        if entry is not None:
            entry.since = until
            self._new.pop(name, None)
            self._push(name)

    def find_due(self, now: float) -> list[Ticks]:
        """What is due; the same again until `advance` is called."""
        found = [Ticks(name, None, now) for name in self._new]
        if not self._entries or (at := self.next_at()) is None or at > now:
            return found
        # Lazy: cron expressions cost a start 5 ms, and most projects have none.
        from afresh.assets.schedule import find_due  # noqa: PLC0415

        late: set[tuple[float, str]] = set()
        while self._heap and self._heap[0][0] <= now:
            late.add(heappop(self._heap))
        for at, name in sorted(late):
            entry = self._entries[name]
            if entry.fire_at != at or entry.since is None:
                continue
            heappush(self._heap, (at, name))
            due = find_due(entry.schedule, name, entry.since, now)
            if due.until > entry.since:
                found.append(Ticks(name, due.ticks[-1] if due.ticks else None, due.until))
        return found

    def next_of(self, name: str) -> float | None:
        """When a plan's schedule ticks next."""
        entry = self._entries.get(name)
        return entry.fire_at if entry is not None else None

    def next_at(self) -> float | None:
        """When anything is due next; 0 for what has not been looked at."""
        if self._new:
            return 0.0
        while self._heap and self._entries[self._heap[0][1]].fire_at != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _push(self, name: str) -> None:
        # Lazy, as above.
        from afresh.assets.schedule import next_fire  # noqa: PLC0415

        entry = self._entries[name]
        assert entry.since is not None
        entry.fire_at = next_fire(entry.schedule, name, entry.since)
        if entry.fire_at is not None:
            heappush(self._heap, (entry.fire_at, name))
