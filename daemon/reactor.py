"""The reactor: take what happened, commit it, step the planner, carry out what it asks for.

The only writer. It decides nothing about staleness or order (that is the planner's), knows neither
asyncio nor a real clock, and so runs as well on a simulated one.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from afresh.assets.planner.planner import Change, Planner
from afresh.daemon.attempts.outcome_rows import Outcome
from afresh.daemon.attempts.under_way import Attempts
from afresh.daemon.journal import Journal
from afresh.daemon.ports import Ports
from afresh.daemon.run_lines import end_line, event_line, run_line
from afresh.daemon.settled import settle_rows
from afresh.daemon.streams.segments import Streams
from afresh.daemon.ticks import LONGEST_SLEEP_SECONDS, budget_rows, released_rows, tick_rows
from afresh.daemon.turns import Begun, Finished, Item, Offered, Step, Taken, Told, take_turn
from afresh.sensors.base import Batch
from afresh.storage.ledger.commit import Commit, Update

AHEAD = 1
"""Tasks handed over beyond the workers there are: one that ends has its next at once, while the
commit of its result is under way."""


class Reactor:
    """One loop over all that happens. `planner` and `journal` were rebuilt from the ledger."""

    def __init__(
        self, planner: Planner, journal: Journal, ports: Ports, streams: Streams | None = None
    ) -> None:
        self.planner = planner
        self.journal = journal
        self.streams = streams or Streams()
        self.ports = ports
        self.dispatching = True
        self._inbox: list[Item] = []
        self._busy = False
        self._taking: list[int] = []
        """The first event of this turn, and those that end in it: not durable yet."""
        self._wake = anyio.Event()
        self._attempts = Attempts(self, self._put)
        self._changed = anyio.Event()

    # Called from outside the loop

    async def record(self, batch: Batch) -> None:
        """Record a sensor's batch: returning is the acknowledgement (P1)."""
        item = Offered(batch, anyio.Event())
        self._put(item)
        await item.acknowledged.wait()
        if item.error is not None:
            raise item.error

    def is_flooded(self, source: str) -> bool:
        """Whether so much of a source waits to be read that no more of it should come."""
        return self.planner.ingests.is_flooded(source)

    async def room(self, source: str) -> None:
        """Wait until more of a source may come: one that comes faster than it is read waits."""
        while self.is_flooded(source):
            await self.changed()

    async def tell(
        self,
        make: Callable[[int], tuple[list[Update], list[Change]]],
        after: Callable[[int], None] | None = None,
    ) -> None:
        """Commit what `make(epoch)` gives and tell the planner, in one step with what is due.

        `after(epoch)` may put another planner in place: it has a turn of its own.
        """
        item = Told(make, after, anyio.Event())
        self._put(item)
        await item.done.wait()
        if item.error is not None:
            raise item.error

    async def drain(self) -> None:
        """Start no attempt more; wait for those under way, and for the commit of all by then."""
        self.dispatching = False
        while self.under_way:
            await self.changed()
        # Not until nothing comes: sensors that always have something would hold up the end.
        await self.tell(lambda _epoch: ([], []))

    def cancel(self, run: str) -> bool:
        """End a run that is under way; False if there is none of that id."""
        return self._attempts.cancel(run)

    def wake(self) -> None:
        """Look again at what may be started."""
        self._wake.set()

    async def changed(self) -> None:
        """Wait until the next step is done."""
        await self._changed.wait()

    def has_pending(self, seq: int, sources: Collection[str] | None = None) -> bool:
        """Whether an event up to this one is recorded, and an outcome of it is under way.

        Of `sources` alone, if they are given. What is paused or has halted is not waited for.
        """
        if any(under_way <= seq for under_way in self._taking):
            return True
        return self.planner.ingests.has_pending(seq, sources)

    @property
    def idle(self) -> bool:
        """Nothing is under way or due."""
        return not self._inbox and not self._busy and self.planner.idle

    @property
    def committing(self) -> bool:
        """A turn is under way: what the planner knows may not be durable yet."""
        return self._busy

    @property
    def under_way(self) -> int:
        """How many attempts are in workers."""
        return len(self._attempts)

    # The loop

    async def run(self) -> None:
        """Until cancelled. A commit that cannot be written now is waited for by the ledger."""
        async with anyio.create_task_group() as tasks:
            while True:
                await self._wait()
                items, self._inbox = take_turn(self._inbox)
                self._busy = True
                await self._turn(items, tasks)
                self._busy = False

    async def _wait(self) -> None:
        """Sleep until something comes or a wake of the planner is due."""
        if self._inbox:
            return
        due = self.planner.next_wake()
        if due is None:
            await self._wake.wait()
        else:
            # In steps: a machine that slept, or a clock that was set, is noticed soon.
            seconds = min(max(0.0, due - self.ports.now()), LONGEST_SLEEP_SECONDS)
            with anyio.move_on_after(seconds):
                await self._wake.wait()
        self._wake = anyio.Event()

    async def _turn(self, items: Sequence[Item], tasks: TaskGroup) -> None:
        """All that has gathered: one step of the planner, one transaction for it and what begins.

        The step comes first: nothing of it shows before the commit is durable, and if the ledger
        refuses that, the daemon ends.
        """
        now = self.ports.now()
        epoch = self.planner.epoch + 1
        taken = self._take_in(items, epoch, now)
        # Nothing refers to these: deleted before the commit, a crash leaves a run to collect.
        garbage = [uri for outcome in taken.ends for uri in outcome.garbage]
        if garbage:
            await self.ports.discard(garbage)
        for item in items:
            if isinstance(item, Told) and item.after is not None:
                await self._commit(items, taken.updates)
                taken.updates = []
                item.after(epoch)
                epoch = self.planner.epoch + 1
        ticks = tick_rows(self.planner.find_due(now), self.journal, epoch, now)
        step = self._step([*taken.changes, *ticks.changes], now)
        for begun in step.begun:
            tasks.start_soon(self._attempts.run, begun)
        updates = [*taken.updates, *ticks.updates, *step.updates]
        await self._commit(items, updates, step.begun)
        self.journal.let_go()
        self._taking = []
        self._answer(items)
        self._report([*taken.events, *ticks.events], taken.ends, step)
        self._changed.set()
        self._changed = anyio.Event()

    def _take_in(self, items: Sequence[Item], epoch: int, now: float) -> Taken:
        """What came as rows for the ledger, and as changes for the planner."""
        first = self.journal.seq + 1
        recorded = self.journal.record([i.batch for i in items if isinstance(i, Offered)], now)
        taken = Taken([*recorded.updates], [*recorded.changes], recorded.events)
        for item in items:
            if isinstance(item, Finished):
                outcome = self._attempts.end(item, epoch, now)
                taken.ends.append(outcome)
                taken.updates += outcome.updates
                if outcome.ended is not None:
                    taken.changes.append(outcome.ended)
        self.ports.on_events(recorded.events)
        for item in items:
            if isinstance(item, Told):
                rows, told = item.make(epoch)
                taken.updates += rows
                taken.changes += told
        ended = [event["seq"] for outcome in taken.ends for event in outcome.events]
        self._taking = [first, *ended] if self.journal.seq >= first else ended
        return taken

    def _answer(self, items: Sequence[Item], error: Exception | None = None) -> None:
        for item in items:
            if isinstance(item, Offered):
                item.error = error
                item.acknowledged.set()
            elif isinstance(item, Told):
                item.error = error
                item.done.set()

    async def _commit(
        self, items: Sequence[Item], updates: list[Update], begun: Sequence[Begun] = ()
    ) -> None:
        """Write all of a turn in one transaction; if it is refused whoever waits is told, we end.

        Ended attempts cannot be kept, and the planner knows of what was not applied.
        """
        if not updates:
            return
        answered = anyio.Event()
        refused: list[Exception] = []
        outbox = self.ports.outbox
        told = outbox.rows(updates) if outbox is not None else []

        def done(error: Exception | None) -> None:
            if error is None:
                for each in begun:
                    each.recorded.set()
            else:
                refused.append(error)
            answered.set()

        self.ports.ledger.submit(Commit((*updates, *told), self.ports.require), done)
        await answered.wait()
        if outbox is not None and told and not refused:
            outbox.tell()
        for error in refused:
            self._answer(items, error)
            raise error

    def _step(self, changes: list[Change], now: float) -> Step:
        """Step the planner, and start what there are workers for."""
        self.planner.step(changes, now)
        step = Step()
        while self.dispatching:
            executor = self.ports.executor
            self.planner.ingests.outside.most = executor.size
            free = executor.size + executor.lent + AHEAD - len(self._attempts)
            attempts = self.planner.start(free, now) if free > 0 else []
            if not attempts:
                break
            for attempt in attempts:
                self._attempts.start(attempt, now, step)
        commands = step.commands = self.planner.take_commands()
        # Units whose head moved without a run; a restart would find the same by itself.
        step.updates += [update for move in commands.settled for update in settle_rows(move, now)]
        step.updates += released_rows(commands.released, commands.fulfilled, now)
        step.updates += budget_rows(self.planner.ingests.budgets, now)
        if step.rows:
            step.updates.append(Update("insert", "run", step.rows))
        self.ports.after_step(self.planner)
        return step

    def _report(self, events: list[dict[str, Any]], ends: list[Outcome], step: Step) -> None:
        for node in step.commands.recovered:
            self.ports.on_trouble(node, True)
        for node in step.commands.troubled:
            self.ports.on_trouble(node, False)
        if not self.ports.lines.wanted:
            return
        for event in events:
            self.ports.lines.send(event_line(event))
        for outcome in ends:
            for event in outcome.events:
                self.ports.lines.send(event_line(event))
            if outcome.state:
                self.ports.lines.send(end_line(outcome, self.ports.now()))
        for row in step.rows:
            self.ports.lines.send(run_line(row))

    def _put(self, item: Item) -> None:
        self._inbox.append(item)
        self._wake.set()
