"""Attempts under way: each is given its rows and its task, runs in a worker, and ends."""

from collections.abc import Callable

import anyio

from afresh.assets.errors import AfreshError
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.streams import bound_reads
from afresh.daemon.attempts.dispatch import make_task, record_batch, run_rows, staged_uris
from afresh.daemon.attempts.endings import Reactive, end_attempt
from afresh.daemon.attempts.outcome_rows import Outcome
from afresh.daemon.turns import Begun, Finished, Step
from afresh.daemon.workers.task import Failed, RecordBatch, Result


class Attempts:
    """Those that are in workers, by run. `put` hands the reactor the end of one."""

    def __init__(self, reactor: Reactive, put: Callable[[Finished], None]) -> None:
        self._reactor = reactor
        self._put = put
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._staged: dict[str, list[str]] = {}
        self._cancelled: set[str] = set()

    def __len__(self) -> int:
        return len(self._scopes)

    def cancel(self, run: str) -> bool:
        """End a run that is under way; False if there is none of that id."""
        scope = self._scopes.get(run)
        if scope is None:
            return False
        self._cancelled.add(run)
        scope.cancel()
        return True

    def start(self, attempt: Attempt, now: float, step: Step) -> None:
        """Give an attempt its rows and its task.

        The worker reads meanwhile, but leaves no trace before the rows are durable: whatever a
        crash leaves behind belongs to a run that the next start knows of and collects (P2).
        """
        journal, ports = self._reactor.journal, self._reactor.ports
        attempt.run, attempt.started_at = ports.new_id(), now
        kind, event = attempt.cause
        attempt.cause = (journal.kind_of(event, kind), event)
        if attempt.kind == "delete":
            self._put(Finished(attempt, None))
            return
        path = refused = ""
        batches: tuple[RecordBatch, ...] = ()
        if attempt.kind == "ingest" and attempt.node.plan.stream:
            try:
                rows = journal.take(attempt.node.plan.name, attempt.events)
            except AfreshError as error:
                failed = Failed("storage", error.error, error.hint)
                self._put(Finished(attempt, Result(attempt.run, failed=failed)))
                return
            batches = tuple(map(record_batch, rows))
        elif attempt.kind == "ingest":
            arrival = journal.pending[attempt.events[-1]]
            refused = arrival["detail"]
            # Of another daemon's version it says which artifacts; all else is read at its uri.
            path = arrival["position"] or ports.path_of(arrival["uri"])
        if attempt.node.plan.incremental:
            streams = self._reactor.streams
            bound_reads(attempt, lambda asset: streams.segments((asset, "")), ports.most_new)
        try:
            task = make_task(
                attempt,
                ports.artifacts,
                path,
                self._reactor.streams,
                batches,
                depth=ports.depth_of(attempt),
            )
        except LookupError as error:
            # Rows that it was to read are not kept any more; as of a newer epoch they are.
            failed = Failed("internal", f"Expected rows of a stream, found none at {error}")
            self._put(Finished(attempt, Result(attempt.run, failed=failed)))
            return
        step.rows += run_rows(attempt, task, now)
        if refused:
            self._put(Finished(attempt, Result(attempt.run, failed=Failed("unreadable", refused))))
            return
        scope = self._scopes[attempt.run] = anyio.CancelScope()
        self._staged[attempt.run] = staged_uris(task)
        step.begun.append(Begun(attempt, task, scope))

    async def run(self, begun: Begun) -> None:
        """Run an attempt in a worker to its end."""
        attempt = begun.attempt
        result: Result | None = None
        with begun.scope:
            result = await self._reactor.ports.executor.run(begun.task, begun.recorded)
        if result is None:
            if attempt.run not in self._cancelled:
                return
            result = Result(attempt.run, failed=Failed("cancelled", "cancelled by hand"))
        self._put(Finished(attempt, result))

    def end(self, item: Finished, epoch: int, now: float) -> Outcome:
        """Say how an attempt ended."""
        self._scopes.pop(item.attempt.run, None)
        self._cancelled.discard(item.attempt.run)
        outcome = end_attempt(self._reactor, item, epoch, now)
        staged = self._staged.pop(item.attempt.run, ())
        if item.result is not None and item.result.failed is not None:
            # Whatever it wrote before it failed: nothing will ever name it.
            outcome.garbage += staged
        return outcome
