"""Workers are lent while others wait for a server, at once where it was slow the last time."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from afresh.daemon.workers import lending
from afresh.daemon.workers.lending import Lending

HOUR = 3600.0


def times(monkeypatch: pytest.MonkeyPatch, *, after: float, soon: float) -> None:
    monkeypatch.setattr(lending, "AFTER_SECONDS", after)
    monkeypatch.setattr(lending, "SOON_SECONDS", soon)


async def is_lent(lends: Lending, source: str) -> bool:
    """Wait a few turns of the loop for it."""
    async with anyio.create_task_group() as tasks:
        with lends.waiting(tasks, source):
            for _ in range(5):
                await checkpoint()
            return lends.lent == 1
    raise AssertionError


async def test_one_is_lent_while_another_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    lends = Lending(2, lambda: told.append(lends.lent))
    times(monkeypatch, after=0, soon=0)
    assert await is_lent(lends, "lake")
    assert told == [1, 0]


async def test_who_asks_for_a_moment_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    lends = Lending(2, lambda: told.append(lends.lent))
    times(monkeypatch, after=HOUR, soon=0)
    assert not await is_lent(lends, "lake")
    assert told == []


async def test_who_was_slow_makes_room_at_once_until_it_is_quick_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lends = Lending(2, lambda: None)
    times(monkeypatch, after=0, soon=HOUR)
    await is_lent(lends, "lake")
    times(monkeypatch, after=HOUR, soon=0)
    assert not await is_lent(lends, "registry")
    assert await is_lent(lends, "lake")
    # That was a moment: it is quick again.
    assert not await is_lent(lends, "lake")


async def test_no_more_are_lent_than_twice_as_many_as_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lends = Lending(1, lambda: None)
    times(monkeypatch, after=0, soon=0)
    async with anyio.create_task_group() as tasks:
        with lends.waiting(tasks, "a"), lends.waiting(tasks, "b"), lends.waiting(tasks, "c"):
            for _ in range(5):
                await checkpoint()
            assert lends.lent == lending.MOST
    assert lends.lent == 0
