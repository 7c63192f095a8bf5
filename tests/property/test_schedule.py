"""Laws of schedules: ticks grow, none is lost, none is doubled, whatever the clocks do."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.policy import Cron, Every, Missed, Schedule
from afresh.assets.schedule import (
    GRACE_SECONDS,
    find_due,
    fires_at,
    last_tick,
    next_tick,
    ticks_after,
)

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # its summer time is half an hour
    "America/Santiago",  # its gap is at midnight
    "Asia/Kolkata",
    "Africa/Casablanca",  # its winter time is below its standard time
    "Pacific/Apia",  # it skipped a whole day
    "Antarctica/Troll",  # its summer time is two hours
]
CRONS = st.builds(
    lambda minute, hour, day: f"{minute} {hour} {day} * *",
    st.sampled_from(["0", "30", "59", "*/15", "*", "0,5,30", "10-12"]),
    st.sampled_from(["*", "0", "2", "3", "*/2", "1-3", "23", "0,2,4"]),
    st.sampled_from(["*", "1", "L", "1,15"]),
)
JITTER = st.sampled_from([0.0, 5.0, 90.0, 7200.0])
SCHEDULES = st.one_of(
    st.builds(Cron, CRONS, st.sampled_from(ZONES), JITTER, st.just("all")),
    st.builds(
        Every, st.sampled_from([0.5, 7.0, 60.0, 900.0, 86400.0, 0.1]), JITTER, st.just("all")
    ),
)
BEGIN = datetime(2011, 1, 1, tzinfo=UTC).timestamp()
END = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
INSTANTS = st.floats(BEGIN, END, allow_nan=False)


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[str, float]:
    """A zone and an instant within hours of one of its changes of offset."""
    tz = draw(st.sampled_from(ZONES[1:]))
    changes = changes_of(tz)
    if not changes:
        return tz, draw(INSTANTS)
    return tz, draw(st.sampled_from(changes)) + draw(st.floats(-10800.0, 10800.0))


@cache
def changes_of(tz: str) -> list[float]:
    """The hours within which a zone's offset changes: no zone changes it twice a day."""
    zone = ZoneInfo(tz)
    found: list[float] = []

    def offset(at: float) -> timedelta | None:
        return datetime.fromtimestamp(at, zone).utcoffset()

    for day in range(int(BEGIN), int(END), 86400):
        if offset(day) != offset(day + 86400):
            hours = range(day, day + 86400, 3600)
            found += [at for at in hours if offset(at) != offset(at + 3600)]
    return found


def brute(cron: Cron, begin: float, end: float) -> list[float]:
    """All ticks of whole minutes after `begin` up to `end`: by looking at every minute there is."""
    zone = ZoneInfo(cron.tz)
    minutes, hours = (
        _field(text, n) for text, n in zip(cron.expression.split(), (60, 24), strict=False)
    )
    found, seen = [], set()
    at = int(begin // 60) * 60 - 86400 * 2
    last = _naive(at - 60, zone)
    while at <= end:
        wall = _naive(at, zone)
        shown = []
        while last < wall:
            last += timedelta(minutes=1)
            shown.append(last)
        if not shown:
            last = max(last, wall)
        hit = [w for w in shown if w not in seen and w.minute in minutes and w.hour in hours]
        seen.update(shown)
        if hit and at > begin:
            found.append(float(at))
        at += 60
    return found


def _naive(at: float, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None)


def _field(text: str, count: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        if part.startswith("*"):
            found |= set(range(0, count, int(part[2:] or 1)))
        else:
            low, _, high = part.partition("-")
            found |= set(range(int(low), int(high or low) + 1))
    return found


DAILY = st.builds(
    lambda minute, hour: f"{minute} {hour} * * *",
    st.sampled_from(["0", "30", "59", "*/15", "*", "0,5,30", "10-12"]),
    st.sampled_from(["*", "0", "2", "3", "*/2", "1-3", "23", "0,2,4"]),
)


@given(near_changes(), DAILY)
def test_every_wall_clock_time_ticks_once_where_clocks_change(
    where: tuple[str, float], expression: str
) -> None:
    tz, begin = where
    cron = Cron(expression, tz)
    end = begin + 6 * 3600
    ticks = []
    for tick in ticks_after(cron, begin):
        if tick > end:
            break
        ticks.append(tick)
    assert ticks == brute(cron, begin, end)


@given(SCHEDULES, INSTANTS)
def test_ticks_only_grow_and_looking_back_finds_the_same(schedule: Schedule, since: float) -> None:
    ticks = list(islice(ticks_after(schedule, since), 20))
    assert ticks
    assert since < ticks[0]
    assert ticks == sorted(set(ticks))
    for before, after in pairwise(ticks):
        assert last_tick(schedule, before) == before
        assert last_tick(schedule, after - 1e-4) == before
        assert last_tick(schedule, (before + after) / 2) == before


@given(SCHEDULES, near_changes())
def test_looking_back_and_forth_agree_where_clocks_change(
    schedule: Schedule, where: tuple[str, float]
) -> None:
    tz, at = where
    if isinstance(schedule, Cron):
        schedule = Cron(schedule.expression, tz)
    last = last_tick(schedule, at)
    assert last is not None
    assert last <= at
    following = next_tick(schedule, last)
    assert following is not None
    assert following > at
    assert next_tick(schedule, at) == following


@given(SCHEDULES, st.text(max_size=5), INSTANTS)
def test_jitter_keeps_the_order_and_is_the_same_every_time(
    schedule: Schedule, name: str, since: float
) -> None:
    ticks = list(islice(ticks_after(schedule, since), 10))
    fires = [fires_at(schedule, name, tick) for tick in ticks]
    assert fires == sorted(fires)
    assert fires == [fires_at(schedule, name, tick) for tick in ticks]
    for tick, fire in zip(ticks, fires, strict=True):
        assert tick <= fire <= tick + schedule.jitter_seconds


@given(SCHEDULES, INSTANTS, st.lists(st.floats(0.0, 3.0), max_size=15))
def test_however_often_it_is_asked_all_ticks_come_once_and_in_order(
    schedule: Schedule, begin: float, steps: list[float]
) -> None:
    wait = (next(ticks_after(schedule, begin)) - begin) or 1.0
    now = since = begin
    seen: list[float] = []
    for step in steps:
        now += min(step * wait, 40 * 86400.0)
        due = find_due(schedule, "n", since, now)
        assert due.until >= since
        seen += due.ticks
        since = due.until
    now += schedule.jitter_seconds
    while (due := find_due(schedule, "n", since, now)).ticks:
        seen += due.ticks
        since = due.until
    expected = []
    for tick in ticks_after(schedule, begin):
        if tick > now or fires_at(schedule, "n", tick) > now:
            break
        expected.append(tick)
    assert seen == expected


@given(SCHEDULES, INSTANTS, st.floats(0.0, 5e6))
def test_of_what_was_missed_the_last_stands_for_all_or_none_comes(
    schedule: Schedule, since: float, away: float
) -> None:
    now = since + away
    last = find_due(_with(schedule, "last"), "n", since, now)
    none = find_due(_with(schedule, "none"), "n", since, now)
    assert len(last.ticks) <= 1
    assert last.until == none.until
    assert set(none.ticks) <= set(last.ticks)
    assert all(since < tick <= now for tick in last.ticks)
    for tick in none.ticks:
        assert now - fires_at(schedule, "n", tick) <= GRACE_SECONDS
    if last.ticks:
        following = next_tick(schedule, last.until)
        assert following is not None
        assert fires_at(schedule, "n", following) > now


def _with(schedule: Schedule, missed: Missed) -> Schedule:
    if isinstance(schedule, Cron):
        return Cron(schedule.expression, schedule.tz, schedule.jitter_seconds, missed)
    return Every(schedule.period_seconds, schedule.jitter_seconds, missed)


def berlin(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("expression", "since", "expected"),
    [
        ("30 2 * * *", "2026-03-28T12:00", ["2026-03-29T03:00", "2026-03-30T02:30"]),
        ("0,30 2 * * *", "2026-03-28T12:00", ["2026-03-29T03:00", "2026-03-30T02:00"]),
        ("0 * * * *", "2026-03-29T01:30", ["2026-03-29T03:00", "2026-03-29T04:00"]),
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T02:30", "2026-10-26T02:30"]),
        ("0 6 * * *", "2026-10-24T12:00", ["2026-10-25T06:00", "2026-10-26T06:00"]),
        ("0 12 * * MON", "2026-11-21T00:00", ["2026-11-23T12:00", "2026-11-30T12:00"]),
    ],
)
def test_what_summer_time_does_in_berlin(expression: str, since: str, expected: list[str]) -> None:
    cron = Cron(expression, "Europe/Berlin")
    found = list(islice(ticks_after(cron, berlin(since)), 2))
    assert found == [berlin(text) for text in expected]


def test_an_interval_ignores_the_clocks_on_the_wall() -> None:
    found = list(islice(ticks_after(Every(900.0), 1_000_000.0), 3))
    assert found == [1_000_800.0, 1_001_700.0, 1_002_600.0]
