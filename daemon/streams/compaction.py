"""Merges small segments of streams that get nothing: at the start, and whenever nothing is to do.

Streams that get something merge beside their ingests and runs. A merge holds a worker for a moment:
one at a time, of a bounded size, and only while nothing else is under way or due.
"""

import logging
from collections.abc import Callable

import anyio

from afresh.assets.planner.planner import Change
from afresh.assets.planner.segments import Segment, to_merge
from afresh.daemon.reactor import Reactor
from afresh.daemon.streams.appending import merged_rows
from afresh.daemon.streams.segments import Unit, garbage_rows, merge_of
from afresh.daemon.workers.task import Merged, Task
from afresh.storage.artifacts.paths import artifact_uri, merged_uri
from afresh.storage.ledger.commit import Commit, Update

_log = logging.getLogger("afresh.housekeeping")
INTERVAL_SECONDS = 30.0
BUSY_SECONDS = 2.0
FEW_SMALL = 4
"""So many small segments are worth a merge when nothing else is to do."""
MOST_BYTES = 32 << 20
ABANDONED_SECONDS = 3600.0
"""What a merge has written and nobody took over is collected after that."""


class Compaction:
    """Looks for what can be merged. `now` is the reactor's clock."""

    def __init__(self, reactor: Reactor, now: Callable[[], float]) -> None:
        self._reactor = reactor
        self._now = now
        self._refused: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Merge what can be merged, now and then, until cancelled."""
        while True:
            while await self.merge():
                pass
            await anyio.sleep(INTERVAL_SECONDS if self._reactor.idle else BUSY_SECONDS)

    async def merge(self) -> bool:
        """Do one merge; False if there is none, or anything else to do."""
        found = self._find()
        if found is None:
            return False
        unit, old = found
        ports = self._reactor.ports
        run = ports.new_id()
        uri = merged_uri(artifact_uri(ports.artifacts, *unit, run, unit[0]))
        # Named before it is written: a crash leaves nothing that is never collected (P2).
        named = garbage_rows([uri], self._now() + ABANDONED_SECONDS)
        await ports.ledger.commit(Commit((Update("upsert", "garbage", named),), ports.require))
        merge = merge_of(unit, old, uri)
        recorded = anyio.Event()
        recorded.set()
        task = Task(run, "merge", unit[0], unit[1], 1, (), merges=(merge,))
        result = await ports.executor.run(task, recorded)
        if not result.merged:
            self._refused.add((old[0].uri, old[-1].uri))
            if result.failed is not None:
                _log.info("segments of %s stay as they are: %s", unit[0], result.failed.error)
            return True
        await self._take_over(unit, old, result.merged[0], run)
        return True

    def _find(self) -> tuple[Unit, list[Segment]] | None:
        reactor = self._reactor
        if not (reactor.dispatching and reactor.idle):
            return None
        plans = reactor.planner.topology.assets
        for unit in reactor.streams.units():
            if unit[0] not in plans:
                continue
            source = plans[unit[0]][0].source
            keep = source.keep_seconds if source is not None else None
            segments = reactor.streams.segments(unit)
            found = to_merge(segments, keep, least=FEW_SMALL, most_bytes=MOST_BYTES)
            if found and (found[0].uri, found[-1].uri) not in self._refused:
                return unit, found
        return None

    async def _take_over(self, unit: Unit, old: list[Segment], found: Merged, run: str) -> None:
        streams = self._reactor.streams

        def make(_epoch: int) -> tuple[list[Update], list[Change]]:
            rows = merged_rows(unit, old, found, run=run, now=self._now(), streams=streams)
            if rows is None:
                return [], []
            return [Update("delete", "garbage", [{"uri": found.uri}]), *rows], []

        await self._reactor.tell(make)
