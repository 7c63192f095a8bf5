"""A store of objects in memory, and the sensor of a bucket at work on it."""

import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anyio
import anyio.lowlevel

from afresh.assets.partition import Pattern
from afresh.sensors.base import ObjectIdentity
from afresh.sensors.buckets.sensor import BucketSensor
from afresh.sensors.buckets.store import Entry, Pages, RefusedError, StoreError
from support.watching import Journal

PATTERN = "lake/days/{day}.csv"


class FakeStore:
    """Objects by path. `failures` counts the calls that fail next; `seconds` is what each takes.

    `late` gives how much longer an answer is on its way.
    """

    def __init__(self, page: int = 3) -> None:
        self.objects: dict[str, ObjectIdentity] = {}
        self.failures = 0
        self.refused: set[str] = set()
        self.seconds = 0.0
        self.late: Callable[[], float] = lambda: 0.0
        self.calls = 0
        self.closed = 0
        self.page = page
        self._etags = itertools.count(1)

    def put(self, path: str) -> None:
        """Write an object, new or over another."""
        number = next(self._etags)
        self.objects[path] = ObjectIdentity(f"etag{number}", "", 10, float(number))

    def delete(self, path: str) -> None:
        """Delete an object, if it is there."""
        self.objects.pop(path, None)

    async def call(self) -> None:
        """What every call costs."""
        self.calls += 1
        await anyio.sleep(self.seconds)
        if self.failures:
            self.failures -= 1
            raise StoreError("the store is away")

    def pages(self) -> Pages:
        return _FakePages(self)

    async def look(self, path: str) -> Entry | None:
        await self.call()
        if path in self.refused:
            raise RefusedError(f"no rights for {path}")
        identity = self.objects.get(path)
        await anyio.sleep(self.late())
        return Entry(path, identity) if identity is not None else None

    async def find(self, path: str) -> Entry | None:
        # What happens meanwhile is not in an answer that is on its way.
        identity = self.objects.get(path)
        await self.call()
        await anyio.sleep(self.late())
        return Entry(path, identity) if identity is not None else None

    async def close(self) -> None:
        self.closed += 1


class _FakePages:
    at_once = 1

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self._after = ""

    async def next(self) -> list[Entry] | None:
        await self._store.call()
        names = sorted(name for name in self._store.objects if name > self._after)
        names = names[: self._store.page]
        page = [Entry(name, self._store.objects[name]) for name in names]
        # What happens meanwhile is not in a page that is on its way.
        await anyio.sleep(self._store.seconds + self._store.late())
        self._after = names[-1] if names else self._after
        return page or None


def make_sensor(
    store: FakeStore,
    *,
    known: Mapping[str, Any] | None = None,
    pattern: str = PATTERN,
    interval_seconds: float = 60.0,
    **options: Any,
) -> BucketSensor:
    """Make a sensor of the store."""
    return BucketSensor(
        name="days",
        pattern=Pattern.parse(pattern),
        protocol="s3",
        store=store,
        interval_seconds=interval_seconds,
        now=anyio.current_time,
        random=Random(1),
        known=known or {},
        **options,
    )


@asynccontextmanager
async def running(
    sensor: BucketSensor, journal: Journal, *, check: bool = True
) -> AsyncIterator[BucketSensor]:
    """Run it meanwhile; enters when its first listing is complete."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, journal.emit)
        while check and not sensor.checked:  # noqa: ASYNC110 - on a clock that jumps
            await anyio.sleep(0.01)
        yield sensor
        tasks.cancel_scope.cancel()


async def settle(sensor: BucketSensor) -> None:
    """Wait until all that was seen is acknowledged."""
    while sensor.health.lag or not sensor.is_quiet:  # noqa: ASYNC110 - as above
        await anyio.sleep(0.05)
