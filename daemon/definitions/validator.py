"""Has stored data held against a schema by a worker, gives way to all other work, keeps verdicts.

Nothing is rebuilt and no version changes: a verdict is a row of its own.
"""

import json
import logging
from collections.abc import Sequence
from typing import Any

import anyio
from msgspec import Struct

from afresh.daemon.reactor import Reactor
from afresh.daemon.workers.task import Part, Result, Task, TaskInput, Verdict
from afresh.storage.ledger import validations
from afresh.storage.ledger.commit import Commit, Update
from afresh.storage.ledger.state import Read

_log = logging.getLogger("afresh.revalidation")
TIMEOUT_SECONDS = 600.0
MOST_PARTS = 64
MOST_BYTES = 32 << 20
AIM_SECONDS = 0.1
"""Of one task: what is displaced, or was under way when the daemon was killed, is done again."""
PATIENCE_SECONDS = 0.1
"""So long what is due waits for a validation: another worker is not there sooner."""
_SAYS_NOTHING = frozenset({"internal", "storage", "cancelled", "changed", "displaced"})
"""Failures that are not the data's."""


class Work(Struct, frozen=True):
    """An asset to look at again: the version of its schema, and the event that brought it.

    `every`: all that was not held against it yet, else only what is suspect.
    """

    asset: str
    schema: str
    event: int | None
    every: bool


class Piece(Struct, frozen=True):
    """One artifact: of a version, or with the rows of a stream up to `end_row` (`version` 0)."""

    part: Part
    bytes: int
    version: int
    first_row: int = 0
    end_row: int | None = None


class Validator:
    """Validates pieces while there are workers that nothing else needs."""

    def __init__(self, reactor: Reactor, read: Read) -> None:
        self._reactor = reactor
        self._read = read
        self._size = 1

    async def validate(self, work: Work, pieces: Sequence[Piece]) -> bool:
        """Find and keep the verdict on each; False if that cannot be had at present."""
        left = list(pieces)
        while left:
            batch = _first(left, self._size)
            del left[: len(batch)]
            result = await self._run(work, batch)
            self._size = _next_size(len(batch), result.seconds)
            if _is_of_no_use(result, work):
                return False
            if result.failed is None:
                await self._keep(work, batch, result.verdicts)
            elif not await self._one_by_one(work, batch):
                return False
        return True

    async def _one_by_one(self, work: Work, batch: Sequence[Piece]) -> bool:
        """Find the one that no worker survives, or that takes too long."""
        for piece in batch:
            result = await self._run(work, [piece])
            if _is_of_no_use(result, work):
                return False
            verdicts = result.verdicts
            if result.failed is not None:
                _log.warning("cannot validate %s: %s", piece.part.uri, result.failed.error)
                verdicts = (Verdict("unread", work.schema, result.failed.error),)
            await self._keep(work, [piece], verdicts)
        return True

    async def _run(self, work: Work, batch: Sequence[Piece]) -> Result:
        """Run a task where a worker is free, until it is done.

        What is due meanwhile takes the worker's place, and less and less often.
        """
        parts = tuple(piece.part for piece in batch)
        patience = PATIENCE_SECONDS
        while True:
            await self._wait_for_room()
            run = self._reactor.ports.new_id()
            inputs = (TaskInput("", work.asset, parts),)
            task = Task(
                run, "validate", work.asset, "", 1, (), inputs, timeout_seconds=TIMEOUT_SECONDS
            )
            result = await self._attempt(task, patience)
            if result is not None:
                return result
            patience *= 2

    async def _attempt(self, task: Task, patience: float) -> Result | None:
        result: Result | None = None
        recorded = anyio.Event()
        # Nothing of it leaves a trace.
        recorded.set()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._give_way, tasks.cancel_scope, patience)
            result = await self._reactor.ports.executor.run(task, recorded)
            tasks.cancel_scope.cancel()
        return result

    async def _give_way(self, scope: anyio.CancelScope, patience: float) -> None:
        while True:
            while self._has_room():
                await self._reactor.changed()
            with anyio.move_on_after(patience) as waited:
                while not self._has_room():
                    await self._reactor.changed()
            if waited.cancelled_caught:
                scope.cancel()
                return

    async def _wait_for_room(self) -> None:
        while not (self._has_room() and self._reactor.dispatching):
            await self._reactor.changed()

    def _has_room(self) -> bool:
        executor = self._reactor.ports.executor
        return self._reactor.under_way < executor.size + executor.lent

    async def _keep(self, work: Work, batch: Sequence[Piece], verdicts: Sequence[Verdict]) -> None:
        now = self._reactor.ports.now()
        gone: list[dict[str, Any]] = []
        for piece in batch:
            gone += self._covered(work.asset, piece)
        rows = [
            _row(work, piece, verdict, now) for piece, verdict in zip(batch, verdicts, strict=True)
        ]
        updates = (Update("delete", "validation", gone), Update("upsert", "validation", rows))
        ports = self._reactor.ports
        await ports.ledger.commit(Commit(updates, ports.require))

    def _covered(self, asset: str, piece: Piece) -> list[dict[str, Any]]:
        """What was found of these rows when they lay in other segments."""
        if piece.end_row is None:
            return []
        key = {"asset": asset, "partition": piece.part.partition}
        within = {**key, "first": piece.first_row, "end": piece.end_row}
        return [
            {**key, "version": 0, "first_row": row}
            for (row,) in self._read(validations.ROWS_WITHIN, within)
        ]


def _is_of_no_use(result: Result, work: Work) -> bool:
    """No verdict on the data, or one by other definitions: those came into force meanwhile."""
    if result.failed is not None:
        return result.failed.kind in _SAYS_NOTHING
    return any(verdict.schema_version != work.schema for verdict in result.verdicts)


def _first(pieces: Sequence[Piece], most: int) -> list[Piece]:
    """Give the first of these, as many as one task is to have."""
    batch: list[Piece] = []
    size = 0
    for piece in pieces[:most]:
        size += piece.bytes
        if batch and size > MOST_BYTES:
            break
        batch.append(piece)
    return batch


def _next_size(size: int, seconds: float) -> int:
    """How many the next task is to have, after one of so many took so long."""
    if seconds > 2 * AIM_SECONDS:
        return max(1, size // 2)
    return min(2 * size, MOST_PARTS) if seconds < AIM_SECONDS else size


def _row(work: Work, piece: Piece, verdict: Verdict, now: float) -> dict[str, Any]:
    return {
        "asset": work.asset,
        "partition": piece.part.partition,
        "version": piece.version,
        "first_row": piece.first_row,
        "end_row": piece.end_row,
        "schema_version": verdict.schema_version,
        "state": verdict.state,
        "event": work.event,
        "error": verdict.error,
        "cases": json.dumps(verdict.cases, ensure_ascii=False),
        "total": verdict.total,
        "at": now,
    }
