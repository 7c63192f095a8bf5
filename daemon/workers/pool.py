"""The pool of workers: the daemon's side of the base process, the generations and their workers.

Worker processes are forked ahead of need and reused. Whatever user code does costs its own attempt:
the daemon only ever waits for sockets.
"""
# Paths are strings: they go into messages.
# ruff: noqa: ASYNC240, PTH100, PTH103, PTH118, PTH120

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Any, Self

import anyio
import msgspec

from afresh.assets.errors import WorkerError
from afresh.assets.manifest import Manifest
from afresh.daemon.workers import wire
from afresh.daemon.workers.checkout import Checkout
from afresh.daemon.workers.crew import Crew
from afresh.daemon.workers.crews import MOST_FAILURES, Crews, pause_seconds
from afresh.daemon.workers.deaths import cause_of, timed_out
from afresh.daemon.workers.lending import Lending
from afresh.daemon.workers.link import Base
from afresh.daemon.workers.linux import memory_bytes, oom_kills
from afresh.daemon.workers.seat import Seat
from afresh.daemon.workers.task import Failed, Result, Task

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

_DISPLACED = "other definitions came into force before a worker was free"


class WorkerPool:
    """Loads generations and runs tasks, `size` at once. Use as `async with`.

    `state_dir` is the project's state folder; user code runs in `project`, its parent by default.
    A worker may allocate `memory_limit_bytes`, three quarters of the machine's by default.
    `artifacts` is only kept for other executors: each task says where its artifact goes.
    """

    def __init__(
        self,
        *,
        state_dir: str | os.PathLike[str],
        size: int,
        log_dir: str | os.PathLike[str],
        python: str = sys.executable,
        project: str | os.PathLike[str] | None = None,
        artifacts: str = "",
        memory_limit_bytes: int | None = None,
        load_timeout_seconds: float = 300.0,
    ) -> None:
        self.size = max(size, 1)
        self.artifacts = artifacts
        self.on_lent: Callable[[], None] = lambda: None
        """Called when there is room for more, as workers are lent."""
        self._state = os.path.abspath(state_dir)
        self._project = os.path.realpath(project or os.path.dirname(self._state))
        self._logs = os.path.abspath(log_dir)
        self._memory = memory_limit_bytes or memory_bytes() * 3 // 4
        self._load_seconds = load_timeout_seconds
        self._base = Base(python, os.path.join(self._logs, "base.log"))
        self._checkout = Checkout(self._settle)
        self._running = 0
        self._false_starts = 0
        self._oom = oom_kills()
        self._lending = Lending(self.size, self._lend)
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup
        self._crews: Crews

    async def __aenter__(self) -> Self:
        """Start the base process; it is not waited for."""
        os.makedirs(self._logs, mode=0o700, exist_ok=True)
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._crews = Crews(
            self._base,
            self._tasks,
            size=self.size,
            log_dir=self._logs,
            load_seconds=self._load_seconds,
            on_idle=self._offer,
            on_end=self._on_end,
            refuse=self._checkout.refuse,
        )
        self._base.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all processes, also those that are at work."""
        with anyio.CancelScope(shield=True):
            self._crews.close()
            await self._base.end()
            self._checkout.refuse("the workers are ending")
        self._crews.dispose()
        self._tasks.cancel_scope.cancel()
        await self._stack.aclose()

    @property
    def free(self) -> int:
        """How many tasks could start now."""
        return max(self._wanted - self._running - self._checkout.waiting, 0)

    @property
    def lent(self) -> int:
        """How many more than `size` may run now, as so many wait for a server."""
        return self._lending.lent

    @property
    def _wanted(self) -> int:
        return self.size + self._lending.lent

    @property
    def pids(self) -> list[int]:
        """The processes that are up: the base, then the workers of all generations."""
        workers = [seat.pid for crew in self._crews for seat in crew.seats.values() if seat.pid]
        return [self._base.pid, *workers]

    async def load(
        self,
        snapshot: str,
        digest: str,
        modules: Sequence[str],
        parameters: Mapping[str, Any],
        *,
        last_good: Manifest | None = None,
    ) -> Manifest:
        """Load definitions in a server of their own; what is wrong with them is in the manifest.

        Raises WorkerError when the import ends the process or hangs. Tasks go on to the generation
        that is active until `activate`.
        """
        plan = wire.Plan(
            digest=digest,
            snapshot=os.path.realpath(snapshot),
            modules=tuple(modules),
            parameters=msgspec.json.encode(parameters).decode(),
            project=self._project,
            state_dir=self._state,
            memory_bytes=self._memory,
            last_good=msgspec.msgpack.encode(last_good) if last_good is not None else b"",
        )
        return await self._crews.load(plan)

    async def activate(self, digest: str) -> None:
        """Send new tasks to this generation once a worker of it is warm; the old one is drained.

        Raises WorkerError if it is not loaded.
        """
        crew = await self._crews.activate(digest)
        if crew is None:
            return
        self._checkout.forget_idle()
        for seat in crew.seats.values():
            if seat.state == "idle":
                self._offer(crew, seat)

    async def discard(self, digest: str) -> None:
        """End a generation that is loaded and will not be activated."""
        self._crews.discard(digest)

    async def run(self, task: Task, recorded: anyio.Event | None = None) -> Result:
        """Run one task to its end; what user code does is in the result.

        It reads at once, but calls no asset's function and writes nothing before `recorded` is set.
        Waits for a worker if none is free. Cancelling kills the attempt and all that it started.
        What was to run in a generation that is not active any more by then is `displaced`.
        """
        if self._crews.closing:
            return Result(task.run, failed=Failed("internal", "the workers have ended"))
        asked_of = self._crews.digest
        try:
            crew, seat = await self._checkout.take()
        except WorkerError as error:
            return Result(task.run, failed=Failed("internal", error.error))
        self._running += 1
        try:
            if crew.plan.digest != asked_of and task.kind in ("ingest", "run"):
                # Its run key is of the code before: what is made now would be known by that.
                return Result(task.run, failed=Failed("displaced", _DISPLACED))
            return await self._attempt(crew, seat, task, recorded)
        finally:
            self._running -= 1
            self._settle(crew, seat)

    # Attempts

    async def _attempt(
        self, crew: Crew, seat: Seat, task: Task, recorded: anyio.Event | None
    ) -> Result:
        log = os.path.join(self._logs, f"{task.run}.log")
        started = anyio.current_time()
        answer: wire.Answer | None = None
        try:
            await seat.give(task, log)
            if recorded is not None:
                await recorded.wait()
            lending: AbstractContextManager[None] = nullcontext()
            if task.outside:
                lending = self._lending.waiting(self._tasks, task.name)
            with anyio.move_on_after(task.timeout_seconds) as limit, lending:
                answer = await seat.begin()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await crew.killed(seat)
                seat.output.say("afresh: cancelled")
            raise
        if answer is not None:
            return answer.result
        with anyio.CancelScope(shield=True):
            await crew.killed(seat)
        if limit.cancelled_caught and task.timeout_seconds is not None:
            failed = timed_out(task.timeout_seconds)
        else:
            failed = cause_of(seat.status, out_of_memory=self._ran_out_of_memory(seat))
        seat.output.say(f"afresh: {failed.error}")
        return Result(task.run, failed=failed, seconds=anyio.current_time() - started)

    def _ran_out_of_memory(self, seat: Seat) -> bool:
        if seat.status is None or not os.WIFSIGNALED(seat.status):
            return False
        before, self._oom = self._oom, oom_kills()
        return self._oom > before

    def _settle(self, crew: Crew, seat: Seat) -> None:
        """After an attempt the worker is free, or it ends and another takes its place."""
        if seat.state == "ended":
            seat.close()
        else:
            seat.done()
            if seat.retiring:
                self._replace(crew)
            elif crew.staff > self._wanted:
                crew.dismiss(seat)
            else:
                self._offer(crew, seat)
        if crew.draining and not crew.running:
            crew.close()

    # Workers

    def _offer(self, crew: Crew, seat: Seat) -> None:
        """A worker can take a task."""
        self._false_starts = 0
        if crew is self._crews.active:
            self._checkout.offer(crew, seat)

    def _on_end(self, crew: Crew, seat: Seat) -> None:
        """A worker ended: another takes its place, later if they end before they are warm."""
        if seat.warm or crew.closing or crew.gone:
            self._replace(crew)
            return
        self._false_starts += 1
        if self._false_starts >= MOST_FAILURES:
            self._checkout.refuse(
                f"no worker could be started; see worker-start-*.log in {self._logs}"
            )
        pause = pause_seconds(self._false_starts)
        self._tasks.start_soon(self._replace_later, crew, pause)

    async def _replace_later(self, crew: Crew, pause: float) -> None:
        await anyio.sleep(pause)
        self._replace(crew)

    def _replace(self, crew: Crew) -> None:
        if not (crew.closing or crew.draining or crew.gone or self._crews.closing):
            crew.fill(self._wanted)

    def _lend(self) -> None:
        """More or fewer workers are wanted: have them; those that nobody needs are sent home."""
        crew = self._crews.active
        if crew is None:
            return
        self._replace(crew)
        while crew.staff > self._wanted and (idle := self._checkout.take_idle()) is not None:
            its, seat = idle
            its.dismiss(seat)
        self.on_lent()
