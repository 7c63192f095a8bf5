"""Removes what streams leave behind: merged and dropped artifacts, batches that were read long ago.

Nothing of it is needed by a version or by an event that is to be read; what a run or a command may
still be reading stays until it cannot be.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread

from afresh.assets.errors import ArtifactError
from afresh.assets.planner.streams import first_unread
from afresh.daemon.reactor import Reactor
from afresh.daemon.streams.appending import lets_rows_go
from afresh.sensors.base import Arrival, Batch
from afresh.storage.artifacts.files import delete
from afresh.storage.ledger import queries
from afresh.storage.ledger.commit import Commit, Update
from afresh.storage.ledger.state import Read

_log = logging.getLogger("afresh.housekeeping")
INTERVAL_SECONDS = 30.0
GRACE_SECONDS = 60.0
"""Longer than a command that began to read a version takes."""
KEEP_BATCHES_SECONDS = 7 * 86400.0
"""So long an event can be replayed with the bytes that it came with."""
AGAIN_SECONDS = 3600.0
"""What cannot be deleted is tried again after so long, and holds up nothing."""
_PAGE = 500
_MOST_PAGES = 100
"""Of the journal at a time: 50,000 events, each page a millisecond of the loop."""


class StreamFiles:
    """What is to be removed, by the ledger."""

    def __init__(self, reactor: Reactor, read: Read, now: Callable[[], float]) -> None:
        self._reactor = reactor
        self._read = read
        self._now = now
        self._after = 0

    async def run(self) -> None:
        """Sweep now and then until cancelled."""
        while True:
            await self.let_rows_go()
            await self.collect()
            await self.forget_batches()
            await anyio.sleep(INTERVAL_SECONDS)

    async def collect(self) -> int:
        """Delete artifacts that nothing needs and nobody can be reading; how many they were."""
        running = [attempt.started_at for attempt in self._reactor.planner.running]
        before = min([self._now() - GRACE_SECONDS, *running])
        count = 0
        while True:
            rows = self._read(queries.GARBAGE, {"limit": _PAGE})
            uris = [uri for uri, at in rows if at < before]
            if not uris:
                return count
            kept = await anyio.to_thread.run_sync(_delete, uris)
            later = self._now() + AGAIN_SECONDS
            await self._commit(
                [
                    Update("delete", "garbage", [{"uri": uri} for uri in uris]),
                    Update("insert", "garbage", [{"uri": uri, "at": later} for uri in kept]),
                ]
            )
            count += len(uris) - len(kept)

    async def let_rows_go(self) -> list[str]:
        """Have sources that get nothing look at what they keep too long; which ones."""
        planner, now = self._reactor.planner, self._now()
        due = []
        for plan in planner.topology.plans.values():
            node = planner.graph.get(plan, "") if plan.stream and plan.source is not None else None
            if node is None or node.pending or node.running is not None or node.paused:
                continue
            unread = first_unread(planner.graph, node)
            if lets_rows_go(node, self._reactor.streams, now, unread):
                due.append(plan.name)
        for name in due:
            detail = "rows that are kept no longer go"
            look = Arrival(f"keep:{name}", "tick", "", now, detail=detail)
            await self._reactor.record(Batch(name, (look,)))
        return due

    async def forget_batches(self) -> int:
        """Remove the bytes of events that were read long ago; how many events they were.

        It walks through the journal, a part each time. What is pending is passed over: the next
        start comes by again.
        """
        before = self._now() - KEEP_BATCHES_SECONDS
        count = 0
        for _ in range(_MOST_PAGES):
            page = self._read(queries.BATCHES, {"after": self._after, "limit": _PAGE})
            young = next((i for i, row in enumerate(page) if row[1] >= before), len(page))
            rows = page[:young]
            with_bytes = [
                (seq, staged)
                for seq, _, state, staged, size in rows
                if state != "pending" and (staged or size)
            ]
            if with_bytes:
                await self._forget(with_bytes, before)
                count += len(with_bytes)
            if rows:
                self._after = rows[-1][0]
            if young < _PAGE:
                break
            await anyio.lowlevel.checkpoint()
        return count

    async def _forget(self, events: list[tuple[int, str]], before: float) -> None:
        # An event that was replayed shares its file with the one that brings it again.
        kept = {row[0] for row in self._read(queries.STAGED_SINCE, {"since": before})}
        staged = [path for _, path in events if path and path not in kept]
        await anyio.to_thread.run_sync(_unlink, staged)
        empty = [{"seq": seq, "payload": b"", "staged": ""} for seq, _ in events]
        await self._commit([Update("patch", "event", empty)])

    async def _commit(self, updates: list[Update]) -> None:
        ports = self._reactor.ports
        await ports.ledger.commit(Commit(tuple(updates), ports.require))


def remove_unnamed(staging: str, read: Read) -> int:
    """Remove staged files that no event names, before any sensor runs; how many they were."""
    named = {Path(row[0]).resolve() for row in read(queries.STAGED, {})}
    found = [path for path in Path(staging).rglob("*") if path.is_file()]
    return _unlink(path for path in found if path.resolve() not in named)


def _unlink(paths: Iterable[str | Path]) -> int:
    count = 0
    for path in paths:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            _log.warning("cannot remove %s: %s", path, error)
        else:
            count += 1
    return count


def _delete(uris: Iterable[str]) -> list[str]:
    """Delete artifacts; name those that could not be."""
    failed = []
    for uri in uris:
        try:
            delete([uri])
        except ArtifactError as error:
            _log.warning("cannot delete what is not needed: %s", error)
            failed.append(uri)
    return failed
