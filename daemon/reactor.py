"""The reactor: take what happened, commit it, step the planner, carry out what it asks for.

The only writer. It decides nothing about staleness or order (that is the planner's), knows neither
asyncio nor a real clock, and so runs as well on a simulated one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

from afresh.assets.errors import LedgerError
from afresh.assets.planner.changes import Settled
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Change, Planner
from afresh.daemon.dispatch import make_task, run_rows
from afresh.daemon.ingest_outcomes import end_delete, end_ingest, is_change
from afresh.daemon.journal import Journal
from afresh.daemon.outcome_rows import Outcome, drop_run, path_row
from afresh.daemon.ports import Ports
from afresh.daemon.run_lines import end_line, event_line, run_line
from afresh.daemon.run_outcomes import end_run
from afresh.daemon.settled import settle_rows
from afresh.daemon.workers.task import Failed, Result, Task
from afresh.sensors.base import Batch, Identity
from afresh.storage.ledger.commit import Commit, Update

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

AHEAD = 1
"""Tasks handed over beyond the workers there are: one that ends has its next at once, while the
commit of its result is under way."""


@dataclass(slots=True)
class Offered:
    """A batch of a sensor, and who waits for its acknowledgement."""

    batch: Batch
    acknowledged: anyio.Event
    error: Exception | None = None


@dataclass(slots=True)
class Finished:
    """An attempt that ended in its worker."""

    attempt: Attempt
    result: Result | None


@dataclass(slots=True)
class Told:
    """A call from outside: it makes rows and changes for the next epoch; its answer is awaited."""

    make: Callable[[int], tuple[list[Update], list[Change]]]
    after: Callable[[int], None]
    """Called when the commit is durable, before the planner's step."""
    done: anyio.Event
    error: Exception | None = None


Item = Offered | Finished | Told


class Reactor:
    """One loop over all that happens. `planner` and `journal` were rebuilt from the ledger."""

    def __init__(self, planner: Planner, journal: Journal, ports: Ports) -> None:
        self.planner = planner
        self.journal = journal
        self.ports = ports
        self.dispatching = True
        self._inbox: list[Item] = []
        self._busy = False
        self._ending: list[int] = []
        self._recorded: list[tuple[Attempt, Task, anyio.CancelScope]] = []
        self._wake = anyio.Event()
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._cancelled: set[str] = set()
        self._changed = anyio.Event()
        self._tasks: TaskGroup | None = None

    # Called from outside the loop

    async def offer(self, batch: Batch) -> None:
        """Record a sensor's batch; returning is the acknowledgement (P1)."""
        item = Offered(batch, anyio.Event())
        self._put(item)
        await item.acknowledged.wait()
        if item.error is not None:
            raise item.error

    async def tell(
        self,
        make: Callable[[int], tuple[list[Update], list[Change]]],
        after: Callable[[int], None] = lambda _epoch: None,
    ) -> None:
        """Commit what `make(epoch)` gives and tell the planner.

        In one step with what else is due.
        """
        item = Told(make, after, anyio.Event())
        self._put(item)
        await item.done.wait()
        if item.error is not None:
            raise item.error

    def cancel(self, run: str) -> bool:
        """End a run that is under way; False if there is none of that id."""
        scope = self._scopes.get(run)
        if scope is None:
            return False
        self._cancelled.add(run)
        scope.cancel()
        return True

    def wake(self) -> None:
        """Look again at what may be started."""
        self._wake.set()

    async def changed(self) -> None:
        """Wait until the next step is done."""
        await self._changed.wait()

    def has_pending(self, seq: int) -> bool:
        """Whether an event up to this one is recorded and the planner does not know its outcome."""
        return any(pending <= seq for pending in (*self.journal.pending, *self._ending))

    @property
    def idle(self) -> bool:
        """Nothing is under way or due."""
        return self.empty and self.planner.idle

    @property
    def empty(self) -> bool:
        """All that came is committed."""
        return not self._inbox and not self._busy

    @property
    def under_way(self) -> int:
        """How many attempts are in workers."""
        return len(self._scopes)

    # The loop

    async def run(self) -> None:
        """Until cancelled. A commit that cannot be written now is waited for by the ledger."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            while True:
                await self._wait()
                self._hand_over(tasks)
                items, self._inbox = self._inbox, []
                self._busy = True
                await self._turn(items)
                self._busy = False

    async def _wait(self) -> None:
        """Sleep until something comes or a wake of the planner is due."""
        if self._inbox or self._recorded:
            return
        due = self.planner.next_wake()
        if due is None:
            await self._wake.wait()
        else:
            with anyio.move_on_after(max(0.0, due - self.ports.now())):
                await self._wake.wait()
        self._wake = anyio.Event()

    async def _turn(self, items: Sequence[Item]) -> None:
        """All that has gathered: one transaction, one step of the planner."""
        now = self.ports.now()
        epoch = self.planner.epoch + 1
        recorded = self.journal.record([i.batch for i in items if isinstance(i, Offered)], now)
        updates: list[Update] = [*recorded.updates]
        changes: list[Change] = [*recorded.changes]
        ends = [self._end(item, epoch, now) for item in items if isinstance(item, Finished)]
        self._ending = [event["seq"] for outcome in ends for event in outcome.events]
        for outcome in ends:
            updates += outcome.updates
            if outcome.ended is not None:
                changes.append(outcome.ended)
        calls = [item for item in items if isinstance(item, Told)]
        for call in calls:
            rows, told = call.make(epoch)
            updates += rows
            changes += told
        # Nothing refers to these: deleted before the commit, a crash leaves a run to collect.
        garbage = [uri for outcome in ends for uri in outcome.garbage]
        if garbage:
            await self.ports.discard(garbage)
        failure = await self._commit(updates)
        if failure is not None:
            self._refuse(items, failure)
        for call in calls:
            call.after(epoch)
        self._step(changes, now)
        self._ending = []
        self._answer(items)
        self._report(recorded.events, ends)
        self._changed.set()
        self._changed = anyio.Event()

    def _answer(self, items: Sequence[Item], error: LedgerError | None = None) -> None:
        for item in items:
            if isinstance(item, Offered):
                item.error = error
                item.acknowledged.set()
            elif isinstance(item, Told):
                item.error = error
                item.done.set()

    async def _commit(self, updates: list[Update]) -> LedgerError | None:
        """All of a turn in one transaction; the error if the ledger refused it."""
        if not updates:
            return None
        try:
            await self.ports.ledger.commit(Commit(tuple(updates), self.ports.require))
        except LedgerError as error:
            return error
        return None

    def _step(self, changes: list[Change], now: float) -> None:
        commands = self.planner.step(changes, now)
        self._record_settled(commands.settled, now)
        for node in commands.recovered:
            self.ports.on_trouble(node, True)
        for node in commands.troubled:
            self.ports.on_trouble(node, False)
        if self.dispatching:
            free = self.ports.executor.size + AHEAD - len(self._scopes)
            while free > 0:
                attempts = self.planner.start(free, now)
                late = self.planner.take_commands()
                self._record_settled(late.settled, now)
                for attempt in attempts:
                    self._start(attempt, now)
                if not attempts:
                    break
                free = self.ports.executor.size + AHEAD - len(self._scopes)

    def _refuse(self, items: Sequence[Item], failure: LedgerError) -> NoReturn:
        """Nothing was applied, and ended attempts cannot be kept: whoever waits is told, we end."""
        self._answer(items, failure)
        raise failure

    # Attempts

    def _start(self, attempt: Attempt, now: float) -> None:
        attempt.run, attempt.started_at = self.ports.new_id(), now
        if attempt.kind == "delete":
            self._put(Finished(attempt, None))
            return
        path = refused = ""
        if attempt.kind == "ingest":
            arrival = self.journal.pending[attempt.events[-1]]
            path, refused = self.ports.path_of(arrival["uri"]), arrival["detail"]
        task = make_task(attempt, self.ports.artifacts, path)
        rows = run_rows(attempt, task, now)
        commit = Commit((Update("insert", "run", rows),), self.ports.require)
        if self.ports.lines.wanted:
            for row in rows:
                self.ports.lines.send(run_line(row))
        if refused:
            self.ports.ledger.submit(commit, _ignore)
            self._put(Finished(attempt, Result(attempt.run, failed=Failed("unreadable", refused))))
            return
        scope = anyio.CancelScope()
        self._scopes[attempt.run] = scope

        def recorded(error: Exception | None) -> None:
            # A refused row is met again, and told, by the commit of the run's end.
            del error
            self._recorded.append((attempt, task, scope))
            self._wake.set()

        # The loop goes on; the worker begins when the row is durable, so that whatever a crash
        # leaves behind belongs to a run that the next start knows of and collects (P2).
        self.ports.ledger.submit(commit, recorded)

    def _hand_over(self, tasks: "TaskGroup") -> None:
        """Start what is recorded. Here, since the ledger's answers come outside of any task."""
        while self._recorded:
            attempt, task, scope = self._recorded.pop(0)
            tasks.start_soon(self._execute, attempt, task, scope)

    async def _execute(self, attempt: Attempt, task: Task, scope: anyio.CancelScope) -> None:
        result: Result | None = None
        with scope:
            result = await self.ports.executor.run(task)
        if result is None:
            if attempt.run not in self._cancelled:
                return
            result = Result(attempt.run, failed=Failed("cancelled", "cancelled by hand"))
        self._put(Finished(attempt, result))

    def _end(self, item: Finished, epoch: int, now: float) -> Outcome:
        attempt, result = item.attempt, item.result
        self._scopes.pop(attempt.run, None)
        self._cancelled.discard(attempt.run)
        if attempt not in self.planner.running:
            return drop_run(attempt, result, now)
        if attempt.kind == "run":
            assert result is not None
            return end_run(attempt, result, now, self.ports.random)
        taken = epoch if is_change(attempt, result) else self.planner.epoch
        if result is None:
            outcome = end_delete(attempt, taken, now)
        else:
            outcome = end_ingest(attempt, result, taken, now, self.ports.random)
        if result is not None and result.identity is not None:
            self._note_read(attempt, outcome, result.identity)
        if outcome.ended is None or outcome.ended.retry_at is None:
            outcome.events = self.journal.close(attempt.events, outcome.updates)
        return outcome

    def _note_read(self, attempt: Attempt, outcome: Outcome, identity: Identity) -> None:
        """A scan that finds the state that was read has found nothing new.

        Not when a newer arrival of the file is recorded: its state is what scans compare with, and
        going back to this one would make one delivery two events (P1).
        """
        seq = attempt.events[-1]
        event = self.journal.pending[seq]
        if self.journal.has_newer(seq):
            return
        outcome.updates.append(path_row(attempt, event["uri"], identity))
        self.ports.on_read(attempt.node.plan.name, event["uri"], identity)

    # What is written without waiting, and what is shown

    def _record_settled(self, settled: list[Settled], now: float) -> None:
        """Units whose head moved without a run; a restart would find the same by itself."""
        updates = [update for move in settled for update in settle_rows(move, now)]
        if updates:
            self.ports.ledger.submit(Commit(tuple(updates), self.ports.require), _ignore)

    def _report(self, events: list[dict[str, Any]], ends: list[Outcome]) -> None:
        if not self.ports.lines.wanted:
            return
        for event in events:
            self.ports.lines.send(event_line(event))
        for outcome in ends:
            for event in outcome.events:
                self.ports.lines.send(event_line(event))
            if outcome.state:
                self.ports.lines.send(end_line(outcome, self.ports.now()))

    def _put(self, item: Item) -> None:
        self._inbox.append(item)
        self._wake.set()


def _ignore(error: Exception | None) -> None:
    """A run row that could not be written.

    The commit of the run's end meets the same error and reports it.
    """
    del error
