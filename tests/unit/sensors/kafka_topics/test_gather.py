"""Micro-batches, on a clock that the test moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from afresh.sensors.kafka_topics.gather import SLICE_ROWS, Gathering


@dataclass
class Message:
    serialized_value_size: int = 10
    serialized_key_size: int = -1


class Clock:
    """A topic whose records come at times: (seconds, partition, count)."""

    def __init__(self, script: list[tuple[float, int, int]], size: int = 10) -> None:
        self.now = 0.0
        self.script = script
        self.size = size
        self.asked: list[int] = []

    async def take(self, most: int, seconds: float) -> dict[int, Sequence[Any]]:
        self.asked.append(most)
        until = self.now + seconds
        if not self.script or self.script[0][0] > until:
            self.now = until
            return {}
        at, partition, count = self.script[0]
        self.now = max(self.now, at)
        given = min(most, count)
        self.script = [(at, partition, count - given)] * (count > given) + self.script[1:]
        return {partition: [Message(self.size)] * given}


def gathering(monkeypatch: pytest.MonkeyPatch, clock: Clock, **bounds: Any) -> Gathering:
    monkeypatch.setattr("anyio.current_time", lambda: clock.now)
    return Gathering(clock, **{"rows": 100, "size": 10_000, "seconds": 1.0, **bounds})


def count(taken: dict[int, list[Any]]) -> dict[int, int]:
    return {partition: len(messages) for partition, messages in taken.items()}


async def test_a_record_that_is_alone_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([(5.0, 0, 1)])
    assert count(await gathering(monkeypatch, clock).gather(10)) == {0: 1}
    assert clock.now == 5.0


async def test_those_that_follow_are_gathered_for_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([(5.0, 0, 1), (5.3, 1, 2), (5.9, 0, 3), (6.5, 0, 4)])
    gathers = gathering(monkeypatch, clock)
    await gathers.gather(10)
    assert count(await gathers.gather(10)) == {1: 2, 0: 3}
    assert clock.now == 6.0
    assert count(await gathers.gather(10)) == {0: 4}


async def test_nothing_is_given_after_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([(5.0, 0, 1)])
    assert await gathering(monkeypatch, clock).gather(2) == {}
    assert clock.now == 2.0


async def test_a_full_batch_goes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([(0.0, 0, 250)])
    gathers = gathering(monkeypatch, clock)
    assert [count(await gathers.gather(1)) for _ in range(2)] == [{0: 100}, {0: 100}]
    assert clock.now == 0.0
    assert count(await gathers.gather(1)) == {0: 50}
    assert clock.now == 1.0


async def test_bytes_bound_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([(0.0, 0, 3), (0.0, 0, 3), (0.0, 0, 3)], size=200)
    gathers = gathering(monkeypatch, clock, size=1000)
    assert count(await gathers.gather(1)) == {0: 5}


async def test_the_loop_is_never_held_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([(0.0, 0, 20_000)])
    await gathering(monkeypatch, clock, rows=10_000, size=1 << 30).gather(1)
    assert max(clock.asked) == SLICE_ROWS
    assert sum(clock.asked) == 10_000


async def test_it_says_when_there_is_something_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([(5.0, 0, 1)])
    noted: list[float] = []
    gathers = gathering(monkeypatch, clock, note=lambda: noted.append(clock.now))
    await gathers.gather(2)
    assert noted == []
    await gathers.gather(10)
    assert noted == [5.0]


async def test_of_large_records_few_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A take of thousands would be more than memory has."""
    clock = Clock([(0.0, 0, 200)], size=1 << 20)
    gathers = gathering(monkeypatch, clock, rows=50_000, size=4 << 20)
    assert [count(await gathers.gather(1)) for _ in range(3)] == 3 * [{0: 4}]


async def test_of_small_records_a_slice_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([(0.0, 0, 100_000)])
    gathers = gathering(monkeypatch, clock, rows=50_000, size=16 << 20)
    assert count(await gathers.gather(1)) == {0: 50_000}
    assert clock.asked[1] == SLICE_ROWS
    assert len(clock.asked) <= 50_000 // SLICE_ROWS + 2
