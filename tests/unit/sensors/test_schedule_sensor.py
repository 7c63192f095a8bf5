"""Schedules as sources: each tick is one arrival, after restarts, sleep and set clocks too."""

from random import Random
from typing import Any

import anyio
import msgspec
import pytest

from afresh.assets.manifest import Source
from afresh.assets.refresh import Ticks, cron, every
from afresh.sensors.base import Batch, SensorContext
from afresh.sensors.records import decode_records
from afresh.sensors.schedule_sensor import LONGEST_SLEEP_SECONDS, ScheduleSensor, build
from support.watching import Journal

START = 1_700_000_000.0
MINUTE = every("1m")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Clock:
    """A clock that only `forward` moves, and the sleeps that were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START
        self.steps: list[float] = []
        monkeypatch.setattr("afresh.sensors.schedule_sensor.anyio.sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.steps.append(seconds)
        if len(self.steps) > 500:
            raise TimeoutError
        self.now += seconds
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def make(schedule: Ticks, clock: Clock, cursor: str = "") -> ScheduleSensor:
    source = Source("daily", schedule.declared().sensor, stream=True)
    context = SensorContext(
        source=source,
        project="",
        staging="",
        cursor=cursor,
        known={},
        now=lambda: clock.now,
        random=Random(1),
        tell=lambda: None,
    )
    return build(context)


def records(journal: Journal) -> list[Any]:
    return [
        msgspec.json.decode(record.value or b"")
        for arrival in journal.arrivals
        for record in decode_records(arrival.payload)
    ]


async def look(sensor: ScheduleSensor, journal: Journal) -> int:
    return await sensor._look(journal.emit)


@pytest.mark.anyio
async def test_begins_with_the_first_look_and_gives_each_tick_once(clock: Clock) -> None:
    journal = Journal()
    sensor = make(MINUTE, clock)
    assert await look(sensor, journal) == 0
    assert journal.batches[-1].cursor
    for _ in range(10):
        clock.now += 20.0
        await look(sensor, journal)
    assert records(journal) == [
        {"scheduled_at": "2023-11-14T22:14:00+00:00", "tick": 1},
        {"scheduled_at": "2023-11-14T22:15:00+00:00", "tick": 2},
        {"scheduled_at": "2023-11-14T22:16:00+00:00", "tick": 3},
    ]
    assert [arrival.kind for arrival in journal.arrivals] == ["tick"] * 3
    assert [arrival.uri for arrival in journal.arrivals][:1] == ["schedule://daily/1"]


@pytest.mark.anyio
async def test_runs_until_cancelled_in_steps(clock: Clock) -> None:
    journal = Journal()
    sensor = make(MINUTE, clock)
    with pytest.raises(TimeoutError):
        await sensor.run(journal.emit)
    assert sensor.checked
    assert sensor.health.state == "watching"
    assert max(clock.steps) <= LONGEST_SLEEP_SECONDS
    numbers = [each["tick"] for each in records(journal)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == (clock.now - START + START % 60) // 60
    assert [arrival.observed_at for arrival in journal.arrivals] == [
        START + 40.0 + 60.0 * each for each in range(len(numbers))
    ]


@pytest.mark.parametrize(
    ("missed", "ticks"), [("none", []), ("last", [8]), ("all", [2, 3, 4, 5, 6, 7, 8])]
)
@pytest.mark.anyio
async def test_what_was_missed_while_it_was_down(
    clock: Clock, missed: Any, ticks: list[int]
) -> None:
    schedule = every("1h", missed=missed)
    journal = Journal()
    sensor = make(schedule, clock)
    await look(sensor, journal)
    clock.now += 2801.0
    await look(sensor, journal)
    again = make(schedule, clock, journal.batches[-1].cursor)
    clock.now += 7.5 * 3600.0
    later = Journal()
    await look(again, later)
    hours = [int(each["scheduled_at"][11:13]) for each in records(later)]
    first = int(records(journal)[0]["scheduled_at"][11:13])
    assert [(hour - first) % 24 + 1 for hour in hours] == ticks
    clock.now += 1800.0
    await look(again, later)
    assert records(later)[-1]["tick"] == 2 + len(ticks)


@pytest.mark.anyio
async def test_what_was_not_acknowledged_is_given_again(clock: Clock) -> None:
    journal = Journal()
    sensor = make(MINUTE, clock)
    await look(sensor, journal)
    clock.now += 60.0
    journal.fails = 1
    with pytest.raises(OSError, match="full"):
        await look(sensor, journal)
    assert await look(sensor, journal) == 1
    assert [each["tick"] for each in records(journal)] == [1]


@pytest.mark.anyio
async def test_clock_that_is_set_back_doubles_nothing_and_is_told(clock: Clock) -> None:
    journal = Journal()
    sensor = make(MINUTE, clock)
    await look(sensor, journal)
    clock.now += 60.0
    await look(sensor, journal)
    clock.now -= 90.0
    for _ in range(7):
        await look(sensor, journal)
        assert "set back" in sensor.health.note
        clock.now += 10.0
    assert len(records(journal)) == 1
    clock.now += 60.0
    await look(sensor, journal)
    assert len(records(journal)) == 2
    assert sensor.health.note == ""


@pytest.mark.anyio
async def test_jitter_is_the_same_after_a_restart(clock: Clock) -> None:
    journal = Journal()
    schedule = cron("0 * * * *", jitter="10m")
    sensor = make(schedule, clock)
    await look(sensor, journal)
    cursors: list[Batch] = journal.batches
    for _ in range(360):
        clock.now += 30.0
        sensor = make(schedule, clock, cursors[-1].cursor)
        await look(sensor, journal)
    times = [each["scheduled_at"] for each in records(journal)]
    assert len(times) == len(set(times)) == 3
    delays = [arrival.observed_at % 3600 for arrival in journal.arrivals]
    assert len(set(delays)) == 3
    assert max(delays) <= 630


@pytest.mark.anyio
async def test_scan_gives_what_is_due_while_it_runs(clock: Clock) -> None:
    sensor = make(MINUTE, clock)
    assert await sensor.scan() == 0
    assert sensor.is_quiet
