"""Which generation gets the tasks, and what becomes of the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from afresh.assets.manifest import Manifest
from afresh.daemon.workers import crews, wire
from afresh.daemon.workers.crews import Crews, pause_seconds


class Crew:
    """A generation without processes: it is loaded when it may be, and ends when it is told to."""

    made: list["Crew"]
    may_load: dict[str, anyio.Event]

    def __init__(self, plan: wire.Plan, *_: object) -> None:
        self.plan = plan
        self.manifest: Manifest | None = None
        self.note = ""
        self.seats: dict[int, Any] = {}
        self.running = self.staff = 0
        self.gone = self.closing = self.draining = False
        self.ready = anyio.Event()
        self.ready.set()
        self.over = anyio.Event()
        self.made.append(self)

    async def load(self, *_: object) -> Manifest:
        await self.may_load[self.plan.digest].wait()
        self.manifest = Manifest(self.plan.digest)
        return self.manifest

    async def serve(self) -> None:
        await self.over.wait()

    def fill(self, size: int) -> None:
        self.staff = size

    def close(self) -> None:
        self.closing = True
        self.over.set()

    def dispose(self) -> None:
        self.gone = True


def plan(digest: str) -> wire.Plan:
    return wire.Plan(digest, "/snapshot", (), "{}", "/project", "/project/.afresh", 0)


@asynccontextmanager
async def some_crews(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crews]:
    monkeypatch.setattr(crews, "Crew", Crew)
    Crew.made, Crew.may_load = [], {digest: anyio.Event() for digest in "ab"}
    for event in Crew.may_load.values():
        event.set()

    base: Any = None

    def ignore(*_: object) -> None:
        """Nobody asks."""

    async with anyio.create_task_group() as tasks:
        yield Crews(
            base,
            tasks,
            size=2,
            log_dir="",
            load_seconds=1,
            on_idle=ignore,
            on_end=ignore,
            refuse=ignore,
        )
        tasks.cancel_scope.cancel()


async def test_one_that_ends_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with some_crews(monkeypatch) as found:
        await found.load(plan("a"))
        first = await found.activate("a")
        Crew.made[0].over.set()
        while len(Crew.made) < 2:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert found.active is not first
        assert [crew.staff for crew in found] == [2]


async def test_one_that_is_made_anew_gives_way_to_what_became_active_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with some_crews(monkeypatch) as found:
        await found.load(plan("a"))
        await found.activate("a")
        Crew.may_load["a"] = anyio.Event()
        Crew.made[0].over.set()
        while len(Crew.made) < 2:
            await anyio.lowlevel.checkpoint()
        await found.load(plan("b"))
        active = await found.activate("b")
        Crew.may_load["a"].set()
        await anyio.wait_all_tasks_blocked()
        assert Crew.made[1].closing
        assert list(found) == [active]


def test_pauses_grow_and_come_to_an_end() -> None:
    """What cannot be started may be tried for weeks."""
    assert pause_seconds(0) < pause_seconds(1) < pause_seconds(2) < 1
    assert pause_seconds(100) == pause_seconds(100_000) == 30
