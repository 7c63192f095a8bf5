"""The pool of workers: the daemon's side of the base process, the generations and their workers.

Worker processes are forked ahead of need and reused. Whatever user code does costs its own attempt:
the daemon only ever waits for sockets.
"""
# Paths are strings: they go into messages.
# ruff: noqa: ASYNC240, PTH100, PTH103, PTH118, PTH120

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import anyio
import msgspec

from afresh.assets.errors import WorkerError
from afresh.assets.manifest import Manifest
from afresh.daemon.workers import wire
from afresh.daemon.workers.checkout import Checkout
from afresh.daemon.workers.crew import Crew
from afresh.daemon.workers.deaths import cause_of, timed_out
from afresh.daemon.workers.lending import Lending
from afresh.daemon.workers.link import Base
from afresh.daemon.workers.linux import memory_bytes, oom_kills
from afresh.daemon.workers.seat import Seat
from afresh.daemon.workers.task import Failed, Result, Task

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

_log = logging.getLogger("afresh.workers")
_READY_SECONDS = 10.0
_LONGEST_DELAY_SECONDS = 30.0
_MOST_FALSE_STARTS = 3


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
        self._crews: dict[str, Crew] = {}
        self._drained: set[Crew] = set()
        self._active = ""
        self._checkout = Checkout(self._offer)
        self._running = 0
        self._false_starts = 0
        self._oom = oom_kills()
        self._closing = False
        self._lending = Lending(self.size, self._lend)
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        """Start the base process; it is not waited for."""
        os.makedirs(self._logs, mode=0o700, exist_ok=True)
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._base.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all processes, also those that are at work."""
        self._closing = True
        with anyio.CancelScope(shield=True):
            for crew in (*self._crews.values(), *self._drained):
                crew.close()
            await self._base.end()
            self._checkout.refuse("the workers are ending")
        for crew in (*self._crews.values(), *self._drained):
            crew.dispose()
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
        crews = (*self._crews.values(), *self._drained)
        workers = [seat.pid for crew in crews for seat in crew.seats.values() if seat.pid]
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
        known = self._crews.get(digest)
        if known is not None and known.manifest is not None:
            return known.manifest
        for other in [d for d in self._crews if d != self._active]:
            await self.discard(other)
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
        crew, manifest = await self._load(plan)
        if self._active:
            # A reload: the new workers get warm while the old ones work.
            crew.fill(self.size)
        return manifest

    async def activate(self, digest: str) -> None:
        """Send new tasks to this generation once a worker of it is warm; the old one is drained.

        Raises WorkerError if it is not loaded.
        """
        if digest == self._active:
            return
        crew = self._crews.get(digest)
        if crew is not None:
            crew.fill(self.size)
            if self._active:
                with anyio.move_on_after(_READY_SECONDS):
                    await crew.ready.wait()
        if crew is None or crew.gone:
            raise WorkerError(
                f"Expected a generation that is loaded, found none with digest {digest!r}"
            )
        before = self._crews.pop(self._active, None)
        self._active = digest
        self._checkout.forget_idle()
        if before is not None:
            self._drain(before)
        for seat in crew.seats.values():
            if seat.state == "idle":
                self._offer(crew, seat)

    async def discard(self, digest: str) -> None:
        """End a generation that is loaded and will not be activated."""
        if digest != self._active and digest in self._crews:
            self._drain(self._crews.pop(digest))

    async def run(self, task: Task, recorded: anyio.Event | None = None) -> Result:
        """Run one task to its end; what user code does is in the result.

        It reads at once, but calls no asset's function and writes nothing before `recorded` is set.
        Waits for a worker if none is free. Cancelling kills the attempt and all that it started.
        """
        if self._closing:
            return Result(task.run, failed=Failed("internal", "the workers have ended"))
        try:
            crew, seat = await self._checkout.take()
        except WorkerError as error:
            return Result(task.run, failed=Failed("internal", error.error))
        self._running += 1
        try:
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
        if crew.plan.digest == self._active and not crew.draining:
            self._checkout.offer(crew, seat)

    def _on_end(self, crew: Crew, seat: Seat) -> None:
        """A worker ended: another takes its place, later if they end before they are warm."""
        if seat.warm or crew.closing or crew.gone:
            self._replace(crew)
            return
        self._false_starts += 1
        if self._false_starts >= _MOST_FALSE_STARTS:
            self._checkout.refuse(
                f"no worker could be started; see worker-start-*.log in {self._logs}"
            )
        delay = min(0.1 * 2.0**self._false_starts, _LONGEST_DELAY_SECONDS)
        self._tasks.start_soon(self._replace_later, crew, delay)

    async def _replace_later(self, crew: Crew, delay: float) -> None:
        await anyio.sleep(delay)
        self._replace(crew)

    def _replace(self, crew: Crew) -> None:
        if not (crew.closing or crew.draining or crew.gone or self._closing):
            crew.fill(self._wanted)

    def _lend(self) -> None:
        """More or fewer workers are wanted: have them; those that nobody needs are sent home."""
        crew = self._crews.get(self._active)
        if crew is None:
            return
        self._replace(crew)
        while crew.staff > self._wanted and (idle := self._checkout.take_idle()) is not None:
            its, seat = idle
            its.dismiss(seat)
        self.on_lent()

    # Generations

    async def _load(self, plan: wire.Plan) -> tuple[Crew, Manifest]:
        crew = Crew(plan, self._logs, self._tasks, self._offer, self._on_end)
        manifest = await crew.load(self._base, self._load_seconds)
        if crew.note:
            _log.warning("%s", crew.note)
        # Thousands of declarations a second time: should it end, its own are the last good ones.
        crew.plan = msgspec.structs.replace(plan, last_good=b"")
        self._crews[plan.digest] = crew
        self._tasks.start_soon(self._serve, crew)
        return crew, manifest

    async def _serve(self, crew: Crew) -> None:
        """Attend a generation until it ends; an active one that should not have is made anew."""
        await crew.serve()
        crew.dispose()
        self._drained.discard(crew)
        digest = crew.plan.digest
        if self._crews.get(digest) is not crew:
            return
        del self._crews[digest]
        if digest == self._active and not self._closing:
            await self._revive(crew)

    async def _revive(self, ended: Crew) -> None:
        plan = msgspec.structs.replace(ended.plan, last_good=msgspec.msgpack.encode(ended.manifest))
        _log.error("the server of the workers ended, another is started")
        for attempt in count():
            # The first may have gone to a base that was just about to end.
            await anyio.sleep(min(0.05 * (2.0**attempt - 1), _LONGEST_DELAY_SECONDS))
            if self._active != plan.digest or self._closing:
                return
            try:
                crew, _ = await self._load(plan)
            except WorkerError as error:
                _log.error("%s", error)
                if attempt >= _MOST_FALSE_STARTS:
                    self._checkout.refuse(error.error)
            else:
                crew.fill(self.size)
                return

    def _drain(self, crew: Crew) -> None:
        """Let what runs come to its end, then end the generation."""
        crew.draining = True
        self._drained.add(crew)
        for seat in crew.seats.values():
            if seat.state != "busy":
                crew.kill(seat)
        if not crew.running:
            crew.close()
