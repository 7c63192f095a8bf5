"""A source over its budget: all is recorded, what is beyond is read later, in order."""

import pytest

from afresh.assets.manifest import Function, Input, Manifest, Output, Sensor, Source
from afresh.assets.planner.changes import Arrived, Paused
from afresh.assets.planner.look import Looks
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import build_topology
from afresh.assets.policy import Budget
from afresh.daemon.guards.storms import Storms


def make(budget: Budget | None) -> Planner:
    files = Sensor("file", {"pattern": "landing/{k}"})
    sources = (
        Source("wild", files, captures=("k",), budget=budget),
        Source("calm", files, captures=("k",)),
    )
    reads = tuple(Input(name, name, "all", "pandas") for name in ("wild", "calm"))
    function = Function("f", reads, (Output("f", "pandas"),), "c")
    return Planner(build_topology(Manifest("d", sources, (function,))), epoch=1)


def arrive(planner: Planner, source: str, count: int, now: float = 0.0) -> None:
    seqs = range(1, count + 1)
    planner.step([Arrived(source, f"{seq:06}", seq, "arrived") for seq in seqs], now)


def started(planner: Planner, now: float) -> list[str]:
    planner.step([], now)
    return [attempt.node.key for attempt in planner.start(100_000, now)]


def test_what_is_beyond_the_budget_is_spread_and_nothing_is_lost() -> None:
    planner = make(Budget(10, 60.0))
    arrive(planner, "wild", 35)
    assert len(started(planner, 0.0)) == 10
    assert not planner.idle
    seen = 10
    at = 0.0
    while seen < 35:
        wake = planner.next_wake()
        assert wake is not None
        assert wake > at
        at = wake
        keys = started(planner, at)
        assert keys == [f"{seen + 1:06}"]
        seen += 1
    assert at == pytest.approx(25 * 6.0)
    assert planner.ingests.budgets.waiting() == {}


def test_others_do_not_wait() -> None:
    planner = make(Budget(1, 3600.0))
    arrive(planner, "wild", 50)
    assert len(started(planner, 0.0)) == 1
    arrive(planner, "calm", 50)
    assert len(started(planner, 0.0)) == 50


def test_quiet_source_may_bring_its_budget_at_once() -> None:
    planner = make(Budget(10, 60.0))
    arrive(planner, "wild", 10)
    assert len(started(planner, 5.0)) == 10
    assert planner.next_wake() is None


def test_what_waits_is_not_read_while_paused() -> None:
    planner = make(Budget(1, 1.0))
    arrive(planner, "wild", 3)
    assert len(started(planner, 0.0)) == 1
    planner.step([Paused((("wild", "*"),), on=True)], 0.0)
    assert started(planner, 1.0) == []
    planner.step([Paused((("wild", "*"),), on=False)], 2.0)
    assert sorted(started(planner, 3.0) + started(planner, 4.0)) == ["000002", "000003"]


def test_nothing_is_done_in_vain_while_no_worker_is_free() -> None:
    planner = make(Budget(2, 2.0))
    arrive(planner, "wild", 100)
    assert len(started(planner, 0.0)) == 2
    planner.step([], 1.0)
    assert planner.next_wake() is None, "one is called: it begins when a worker is free"
    assert [attempt.node.key for attempt in planner.start(100, 1.0)] == ["000003"]
    assert planner.next_wake() == 2.0


def test_what_came_later_does_not_overtake_what_waits() -> None:
    planner = make(Budget(1, 1.0))
    arrive(planner, "wild", 2)
    assert started(planner, 0.0) == ["000001"]
    planner.step([Arrived("wild", "000009", 9, "arrived")], 0.9)
    assert [attempt.node.key for attempt in planner.start(100, 1.5)] == []
    assert started(planner, 1.5) == ["000002"]
    assert started(planner, 2.5) == ["000009"]


def test_so_many_files_wait_before_their_sensor_does() -> None:
    assert make(None).ingests.most_pending == 100_000
    for budget, flooded in ((None, True), (Budget(1, 1.0), False)):
        planner = make(budget)
        planner.ingests.most_pending = 20
        arrive(planner, "wild", 19)
        assert not planner.ingests.is_flooded("wild")
        arrive(planner, "wild", 25)
        assert planner.ingests.is_flooded("wild") is flooded
        assert not planner.ingests.is_flooded("calm")


def test_storm_is_told_when_it_begins_and_when_it_is_over() -> None:
    told: list[tuple[str, str, int]] = []
    storms = Storms(lambda *what: told.append(what))
    planner = make(Budget(1, 60.0))
    arrive(planner, "wild", 3)
    storms.look(planner)
    started(planner, 0.0)
    storms.look(planner)
    storms.look(planner)
    started(planner, 60.0)
    storms.look(planner)
    started(planner, 120.0)
    storms.look(planner)
    assert told == [("wild", "1/1m", 2), ("wild", "", 0)]


def test_what_waits_for_the_budget_says_so() -> None:
    planner = make(Budget(1, 60.0))
    arrive(planner, "wild", 2)
    assert started(planner, 0.0) == ["000001"]
    (reason,) = Looks(planner).look("wild", "000002", 0.0).reasons
    assert reason.detail == "event 2 waits to be read: wild is over its budget of 1/1m"
    calm = make(None)
    arrive(calm, "wild", 1)
    (reason,) = Looks(calm).look("wild", "000001", 0.0).reasons
    assert reason.detail == "event 1 waits to be read"
