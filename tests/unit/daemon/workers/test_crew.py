"""A generation as the daemon sees it, with nobody at the other end."""

from pathlib import Path

import anyio
import pytest

from afresh.daemon.workers import crew as module
from afresh.daemon.workers import wire
from afresh.daemon.workers.crew import Crew
from afresh.daemon.workers.task import Result, Task

PLAN = wire.Plan("digest", "/snapshot", (), "{}", "/project", "/project/.afresh", 0)


async def test_a_worker_that_a_kill_does_not_end_gets_no_other_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that hangs in the kernel, on a file system that is away: it ends when that is back."""
    monkeypatch.setattr(module, "_KILL_SECONDS", 0)
    async with anyio.create_task_group() as tasks:
        crew = Crew(PLAN, str(tmp_path), tasks, lambda *_: None, lambda *_: None)
        try:
            seat = crew.fork()
            assert seat is not None
            seat.state = "busy"
            await crew.killed(seat)
            assert seat.retiring
            assert crew.staff == 0
            # Its answer may have been on the way.
            seat._take(wire.Answer(Result("run")))
            assert seat.retiring
        finally:
            crew.dispose()
            tasks.cancel_scope.cancel()


async def test_a_server_that_says_what_makes_no_sense_is_given_up(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        crew = Crew(PLAN, str(tmp_path), tasks, lambda *_: None, lambda *_: None)
        crew.theirs.send(wire.encode(wire.Ready()))
        with anyio.fail_after(60):
            await crew.serve()
        assert crew.gone
        crew.dispose()


async def test_what_cannot_be_sent_any_more_is_no_error(tmp_path: Path) -> None:
    """A task may be larger than the socket holds, and its worker end before it reads."""
    async with anyio.create_task_group() as tasks:
        crew = Crew(PLAN, str(tmp_path), tasks, lambda *_: None, lambda *_: None)
        seat = crew.fork()
        assert seat is not None
        task = Task("run", "run", "a", "", 1, (), path="x" * (8 << 20))
        tasks.start_soon(seat.give, task, str(tmp_path / "log"))
        await anyio.wait_all_tasks_blocked()
        crew.dispose()
        await anyio.wait_all_tasks_blocked()
        assert seat.state == "ended"
        tasks.cancel_scope.cancel()
