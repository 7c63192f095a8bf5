"""A file sensor at work on a real folder, and what it has reported so far."""

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from afresh.assets.partition import Pattern
from afresh.sensors.base import Arrival, Batch, Health, Identity, Sensor
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.watcher import FolderWatcher

clock = time.time


class Journal:
    """What was acknowledged, as the ledger would keep it."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.batches: list[Batch] = []
        self.fails = 0

    async def emit(self, batch: Batch) -> None:
        await anyio.lowlevel.checkpoint()
        if self.fails:
            self.fails -= 1
            raise OSError("the ledger is full")
        self.batches.append(batch)
        self.arrivals.extend(batch.arrivals)

    @property
    def known(self) -> dict[str, Any]:
        """The identity of each uri that is there, as a sensor of its kind knows it."""
        known: dict[str, Any] = {}
        for arrival in self.arrivals:
            if arrival.identity is None:
                known.pop(arrival.uri, None)
            else:
                known[arrival.uri] = arrival.identity
        return known

    @property
    def short(self) -> list[tuple[str, str]]:
        """(kind, uri) of each arrival, in order."""
        return [(arrival.kind, arrival.uri) for arrival in self.arrivals]


def health(sensor: Sensor) -> Health:
    """How it is now. Type checkers take `sensor.health` for what it was when last asserted."""
    return sensor.health


async def until(condition: Callable[..., Any], seconds: float = 60.0) -> None:
    """Return when `condition()` holds; an AssertionError where it does not for long."""
    with anyio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110 - of things that tell nobody
            await anyio.sleep(0.002)
    assert condition()


@asynccontextmanager
async def watching(
    project: Path,
    pattern: str = "landing/{day}.csv",
    *,
    journal: Journal | None = None,
    known: Mapping[str, Identity] | None = None,
    settle_seconds: float = 0.1,
    interval_seconds: float = 60.0,
    check: bool = True,
    **options: Any,
) -> AsyncIterator[tuple[FileSensor, Journal]]:
    """Run a sensor of its own watcher; enters when the first scan found all in order."""
    journal = journal or Journal()
    watcher = FolderWatcher(
        os.fspath(project),
        now=clock,
        interval_seconds=interval_seconds,
        skip=[os.fspath(project / ".afresh")],
    )
    sensor = FileSensor(
        name="days",
        pattern=Pattern.parse(pattern),
        watcher=watcher,
        settle_seconds=settle_seconds,
        known=known,
        **options,
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(watcher.run)
        tasks.start_soon(sensor.run, journal.emit)
        if check:
            await until(lambda: sensor.checked)
        yield sensor, journal
        tasks.cancel_scope.cancel()
