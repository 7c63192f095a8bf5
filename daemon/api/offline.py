"""The view of a project while no daemon runs: the ledger, opened read-only. Without anyio."""

# Paths are strings: pathlib is slow to import.
# ruff: noqa: PTH110

import os
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

import msgspec

from afresh.assets.errors import LedgerUnavailable
from afresh.assets.manifest import Manifest
from afresh.assets.planner.look import Looks
from afresh.assets.planner.topology import build_topology
from afresh.daemon.config import Settings
from afresh.daemon.restore.planner import restore_planner
from afresh.storage.ledger import queries
from afresh.storage.ledger.reader import Reader
from afresh.storage.ledger.state import load_state

_NO_DAEMON = "no daemon is running: `afresh up` starts it"


class OfflineView:
    """A `View` over the ledger alone; `clock` gives seconds since 1970."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.project = settings.project
        self.reader = Reader(settings.ledger)
        self.settings = settings
        self._clock = clock

    @property
    def is_empty(self) -> bool:
        """Nothing has run here yet: there is no ledger, or nothing was ever loaded."""
        return not os.path.exists(self.reader.path) or not self._definitions

    @cached_property
    def _definitions(self) -> list[tuple[Any, ...]]:
        return self.reader.rows(queries.LAST_DEFINITIONS)

    @cached_property
    def manifest(self) -> Manifest:
        """The definitions that were last taken over."""
        rows = self._definitions
        if not rows:
            raise LedgerUnavailable(
                "Expected definitions in the ledger, found none yet",
                hint="afresh up loads them; afresh check says what is wrong with them",
            )
        return msgspec.msgpack.decode(rows[0][2], type=Manifest)

    @cached_property
    def planner(self) -> Looks:
        """The state of the units, rebuilt from the ledger when it is first asked for."""
        with self.reader.snapshot() as reader:
            planner = restore_planner(
                build_topology(self.manifest),
                reader.rows,
                load_state(reader.rows),
                max_wait_seconds=self.settings.max_wait_seconds,
                now=self.now(),
            )
        # Every unit is looked at once: what is settled by a run key that is known is not stale.
        planner.step([], self.now())
        return Looks(planner)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    async def breathe(self) -> None:
        """Nobody else is here."""

    def sensors(self) -> list[dict[str, Any]]:
        """Say where each sensor was when the daemon ended: none watches now."""
        cursors = {row[0]: row[1] for row in self.reader.rows(queries.CURSORS)}
        pending = dict(
            self.reader.rows(
                "SELECT source, COUNT(*) FROM event WHERE state = 'pending' GROUP BY source"
            )
        )
        last = dict(self.reader.rows(queries.LAST_EVENTS))
        return [
            {
                "sensor": source.name,
                "kind": source.sensor.kind,
                "source": source.name,
                "state": "paused",
                "cursor": cursors.get(source.name, ""),
                "lag": pending.get(source.name, 0),
                "last_event_at": last.get(source.name),
                "error": _NO_DAEMON,
            }
            for source in self.manifest.sources
        ]


def finish(operation: Awaitable[Any]) -> Any:
    """Run an operation to its end without an event loop: offline it waits for nothing."""
    steps = operation.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise AssertionError("an operation waited, offline")
