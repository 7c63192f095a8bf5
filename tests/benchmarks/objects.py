"""A bucket of many objects whose notifications are lost, doubled and shuffled.

First the sensor alone with 20,000 objects (BENCH_OBJECTS=100000 for as many: nine minutes), then a
daemon that reads them too, with 5,000 (BENCH_OBJECTS_READ), as each costs a run. `python -m
benchmarks.objects 100000 60 0.25`: the sensor alone, at another rate, another share of them.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import anyio

from afresh.assets.partition import Pattern
from afresh.daemon.memory import release_memory
from afresh.sensors.base import Batch
from afresh.sensors.buckets.sensor import BucketSensor
from afresh.sensors.buckets.sqs import SqsNotifications
from afresh.sensors.buckets.store import state_of
from afresh.sensors.buckets.stores import open_store
from afresh.sensors.buckets.url import object_uri
from benchmarks.lake import Lake, running_lake
from benchmarks.lake_server import BUCKET, QUEUE
from benchmarks.objects_daemon import OBJECTS as OBJECTS_READ
from benchmarks.objects_daemon import with_daemon
from benchmarks.report import Row, judged, ms, table
from support.processes import memory_mib

OBJECTS, RATE, SHARE, INTERVAL_SECONDS = 20_000, 60.0, 0.25, 60.0
"""A quarter changes: 20 % are overwritten, 5 % deleted."""


class Seen:
    """What the sensor handed on, and when it was acknowledged."""

    def __init__(self) -> None:
        self.at: dict[tuple[str, str], float] = {}
        self.state: dict[str, int] = {}
        self.count = 0

    async def emit(self, batch: Batch) -> None:
        await anyio.lowlevel.checkpoint()
        now = time.time()
        for arrival in batch.arrivals:
            self.count += 1
            identity: Any = arrival.identity
            self.at.setdefault((arrival.uri, identity.etag if identity else ""), now)
            if identity is None:
                self.state.pop(arrival.uri, None)
            else:
                self.state[arrival.uri] = state_of(identity)


async def watch(lake: Lake) -> dict[str, Any]:
    """Run the sensor over all of it; give what was seen and what it cost."""
    options = {"endpoint_url": lake.endpoint}
    pattern = Pattern.parse(f"{BUCKET}/days/{{day}}.csv")
    release_memory()  # and have the collector at rest, as a daemon has
    before, seen, lags = memory_mib(os.getpid(), "Rss"), Seen(), []
    sensor = BucketSensor(
        name="days",
        pattern=pattern,
        protocol="s3",
        store=open_store("s3", pattern, options),
        interval_seconds=INTERVAL_SECONDS,
        now=time.time,
        random=Random(1),
        notifications=SqsNotifications(f"//{QUEUE}", pattern, options),
    )
    clients = memory_mib(os.getpid(), "Rss")

    async def feel() -> None:
        while True:
            at = time.perf_counter()
            await anyio.sleep(0.005)
            lags.append(time.perf_counter() - at - 0.005)

    async with anyio.create_task_group() as tasks:
        begun = time.monotonic()
        tasks.start_soon(sensor.run, seen.emit)
        tasks.start_soon(feel)
        while not (sensor.checked and sensor.is_quiet):  # noqa: ASYNC110
            await anyio.sleep(0.05)
        listed = time.monotonic() - begun
        full, first_lags = memory_mib(os.getpid(), "Rss"), sorted(lags)
        lags.clear()
        lake.go()
        while not lake.ended:  # noqa: ASYNC110
            await anyio.sleep(0.5)
        # Whatever was lost is found within an interval, deletions are confirmed after it.
        deadline = time.monotonic() + 2 * INTERVAL_SECONDS + listed
        changes = lake.changes()
        while time.monotonic() < deadline and not all(known(seen, c) for c in changes):  # noqa: ASYNC110
            await anyio.sleep(0.2)
        await sensor.scan()
        again = time.monotonic()
        await sensor.scan()
        again = time.monotonic() - again
        tasks.cancel_scope.cancel()
    return {
        "seen": seen,
        "changes": changes,
        "listed": listed,
        "again": again,
        "clients": clients - before,
        "objects": full - clients,
        "lag_listing": first_lags[int(len(first_lags) * 0.99)],
        "lag": sorted(lags)[int(len(lags) * 0.99)],
    }


def known(seen: Seen, change: dict[str, Any]) -> bool:
    return (uri_of(change["key"]), change["etag"]) in seen.at


def uri_of(key: str) -> str:
    return object_uri("s3", f"{BUCKET}/{key}")


def measure(folder: Path) -> list[Row]:
    """Give the rows, those of a daemon too."""
    many = int(os.environ.get("BENCH_OBJECTS", OBJECTS))
    few = int(os.environ.get("BENCH_OBJECTS_READ", OBJECTS_READ))
    return [*alone(folder, many, RATE, SHARE), *with_daemon(folder / "daemon", few, RATE, SHARE)]


def alone(folder: Path, count: int, rate: float, share: float) -> list[Row]:
    """Give the rows of the sensor without a daemon."""
    with running_lake(folder, count, rate, share) as lake:
        return rows_of(anyio.run(watch, lake), count)


def rows_of(found: dict[str, Any], count: int) -> list[Row]:
    seen: Seen = found["seen"]
    changes = found["changes"]
    late = [c for c in changes if not known(seen, c)]
    took = [
        (c["sent_at"] is not None, seen.at[uri_of(c["key"]), c["etag"]] - (c["sent_at"] or c["at"]))
        for c in changes
        if known(seen, c)
    ]
    told = sorted(seconds for delivered, seconds in took if delivered)
    lost = {
        kind: max(
            seen.at[uri_of(c["key"]), c["etag"]] - c["at"]
            for c in changes
            if c["sent_at"] is None
            and known(seen, c)
            and bool(c["etag"]) == (kind == "overwritten")
        )
        for kind in ("overwritten", "deleted")
    }
    p99 = told[int(len(told) * 0.99)]
    deleted = sum(not c["etag"] for c in changes)
    right = not late and len(seen.state) == count - deleted
    twice = seen.count - count - len(changes)
    name = f"bucket of {count:,} objects, {len(changes):,} changed"
    return [
        Row(
            f"{name}, notifications 30 % lost, 30 % doubled, shuffled",
            f"{len(late)} lost, {twice} doubled",
            "",
            "the end equals the listing",
            judged(right and not twice),
        ),
        Row(
            "... delivered: p50 / p99",
            f"{ms(told[len(told) // 2])} / {ms(p99)}",
            "",
            "p99 2 s",
            judged(p99 <= 2),
        ),
        Row(
            "... lost: longest, overwritten / deleted (seen by two listings)",
            f"{lost['overwritten']:.1f} s / {lost['deleted']:.1f} s",
            "",
            f"an interval ({INTERVAL_SECONDS:.0f} s)",
            judged(max(lost.values()) <= INTERVAL_SECONDS),
        ),
        Row(
            "... first listing, recorded / listed again",
            f"{found['listed']:.1f} s / {found['again']:.1f} s",
            "",
            "",
            "reported",
        ),
        Row(
            "... lag of the loop p99, first listing / changes",
            f"{ms(found['lag_listing'])} / {ms(found['lag'])}",
            "",
            "",
            "reported",
        ),
        Row(
            "... memory: clients / objects",
            f"{found['clients']:.0f} / {found['objects']:.0f} MiB",
            "",
            "",
            "reported",
        ),
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        given = [float(argument) for argument in sys.argv[1:]]
        defaults: list[float] = [OBJECTS, RATE, SHARE]
        count, rate, share = given + defaults[len(given) :]
        print(table(alone(Path(name), int(count), rate, share)))
