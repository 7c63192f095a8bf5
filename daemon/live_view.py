"""The project as the running daemon sees it: what the API answers from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio.lowlevel

from afresh.assets.manifest import Manifest
from afresh.assets.planner.look import Looks
from afresh.daemon.config import Settings
from afresh.daemon.definitions.generations import Generations
from afresh.daemon.guards.storms import budget_of
from afresh.daemon.reactor import Reactor
from afresh.daemon.sensing.supervisor import Supervisor
from afresh.storage.ledger import queries
from afresh.storage.ledger.reader import Reader


@dataclass(frozen=True, slots=True)
class DaemonView:
    """The project as the running daemon sees it. `clock` gives seconds since 1970.

    `unwritable` says why the ledger cannot be written, "" where it can.
    """

    settings: Settings
    reactor: Reactor
    supervisor: Supervisor
    generations: Generations
    reader: Reader
    clock: Callable[[], float]
    unwritable: Callable[[], str]

    @property
    def project(self) -> str:
        """The project's folder."""
        return self.settings.project

    @property
    def manifest(self) -> Manifest:
        """The definitions in force."""
        return self.generations.manifest

    @property
    def planner(self) -> Looks:
        """The state of the units."""
        return Looks(self.reactor.planner)

    def sensors(self) -> list[dict[str, Any]]:
        """One row a sensor."""
        last = dict(self.reader.rows(queries.LAST_EVENTS, {}))
        return self._with_ledger(self._with_storms(self.supervisor.rows(last)))

    def _with_ledger(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Say of each sensor that runs that nothing of what it sees can be recorded."""
        why = self.unwritable()
        for row in rows:
            if why and row["state"] != "paused":
                row["error"] = "; ".join(filter(None, [row["error"], why]))
        return rows

    def _with_storms(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Say of each source that is over its budget how much of it waits."""
        planner = self.reactor.planner
        for row in rows:
            waiting = planner.ingests.budgets.waiting().get(row["source"])
            if waiting:
                budget = budget_of(planner, row["source"])
                note = f"over its budget of {budget}: {waiting} wait to be read"
                row["error"] = "; ".join(filter(None, [row["error"], note]))
        return rows

    def now(self) -> float:
        """Seconds since 1970."""
        return self.clock()

    async def breathe(self) -> None:
        """Let the reactor work in the middle of a long answer."""
        await anyio.lowlevel.checkpoint()
