"""Stops what leads to itself through files that it writes: paused, told, resumed by hand."""

from pathlib import Path

from anyio.abc import TaskGroup
from msgspec import json

from afresh.assets.planner.changes import Paused
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Change, Planner
from afresh.daemon.guards.loops import MOST_ROUNDS, Loops, Wrote
from afresh.daemon.notifiers.alerts import Alerts
from afresh.daemon.notifiers.troubles import owner_of
from afresh.daemon.reactor import Reactor
from afresh.daemon.workers.task import Result
from afresh.sensors.buckets.url import object_path
from afresh.sensors.uri import path_of
from afresh.storage.ledger import queries
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.state import Read, State

WROTE = "wrote:"
"""In the table of cursors, what a run has written of late."""
_wrote = json.Decoder(Wrote)
_SUBJECT = "loop through "


class LoopGuard:
    """Watches runs for loops, and pauses the assets of one that is found."""

    def __init__(
        self,
        tasks: TaskGroup,
        reactor: Reactor,
        alerts: Alerts,
        project: str,
        stopped: dict[str, str],
    ) -> None:
        self._tasks = tasks
        self._reactor = reactor
        self._alerts = alerts
        reactor.planner.graph.stopped.update(stopped)
        root = str(Path(project).resolve())
        self.loops = Loops(lambda uri: _real_path(uri, root), self._stop, set(stopped))

    def restore(self, read: Read) -> None:
        """Know again what a restart has forgotten."""
        depths: dict[int, int] = dict(reversed(read(queries.DEPTHS, {})))
        written = {
            path.removeprefix(WROTE): _wrote.decode(text)
            for path, text in read(
                queries.CURSORS_AMONG, {"first": WROTE, "last": WROTE + "\U0010ffff"}
            )
        }
        self.loops.restore(depths, written, self._reactor.ports.now())

    def ended(self, attempt: Attempt, result: Result) -> list[Update]:
        """An attempt ended; what is to be kept of it for a restart."""
        now = self._reactor.ports.now()
        found = self.loops.ended(attempt, result.wrote, now)
        updates = []
        if found.deeper:
            rows = [{"seq": seq, "depth": depth} for seq, depth in found.deeper.items()]
            updates.append(Update("patch", "event", rows))
        if found.wrote:
            kept = [
                {"sensor": WROTE + path, "value": _text(wrote), "updated_at": now}
                for path, wrote in found.wrote.items()
            ]
            updates.append(Update("upsert", "cursor", kept))
        if found.forgotten:
            gone = [{"sensor": WROTE + path} for path in found.forgotten]
            updates.append(Update("delete", "cursor", gone))
        return updates

    def look(self, planner: Planner) -> None:
        """See whether what was stopped goes on again."""
        for name in self.loops.resumed(planner):
            self._alerts.recovered(_subject(name), owner_of(planner.topology.plans.get(name)))

    def _stop(self, name: str, path: str) -> None:
        planner = self._reactor.planner
        why = (
            f"stopped: what it writes led to it again {MOST_ROUNDS} times in a row, by {path}; "
            f"afresh resume {name} lets it go on"
        )
        planner.graph.stopped[name] = why
        self._alerts.failed(_subject(name), why, (why,), owner_of(planner.topology.plans.get(name)))
        self._tasks.start_soon(self._pause, name)

    async def _pause(self, name: str) -> None:
        planner, now = self._reactor.planner, self._reactor.ports.now()
        plan = planner.topology.plans.get(name)
        units = tuple((asset, "*") for asset in (plan.assets if plan is not None else ()))

        def make(_epoch: int) -> tuple[list[Update], list[Change]]:
            rows = [
                {"kind": "asset", "name": asset, "partition": key, "at": now}
                for asset, key in units
            ]
            return [Update("upsert", "pause", rows)], [Paused(units, on=True)]

        await self._reactor.tell(make)


def stopped_functions(state: State) -> dict[str, str]:
    """Which functions were stopped before, and why: they are paused until someone resumes them."""
    return {
        row.subject.removeprefix(_SUBJECT): row.detail
        for row in state.alerts
        if row.subject.startswith(_SUBJECT)
    }


def _text(wrote: Wrote) -> str:
    return json.encode(wrote).decode()


def _real_path(uri: str, project: str) -> str:
    """What a run that writes this is known to have written."""
    return f"/{object_path(uri)}" if uri.startswith("file://") else path_of(uri, project)


def _subject(name: str) -> str:
    return _SUBJECT + name
