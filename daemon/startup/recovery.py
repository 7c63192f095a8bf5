"""What a start does first: the state as the ledger has it, whatever became of the last daemon."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import anyio.to_thread

from afresh.assets.errors import ArtifactError
from afresh.assets.manifest import Manifest
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import Topology
from afresh.daemon.config import Settings
from afresh.daemon.definitions.last_good import last_manifest, mark
from afresh.daemon.definitions.takeover import definitions_rows, rebuild
from afresh.daemon.guards.loop_guard import stopped_functions
from afresh.daemon.journal import Journal
from afresh.daemon.notifiers.alerts import Alerts, load_notices
from afresh.daemon.notifiers.load import build
from afresh.daemon.ports import Ports
from afresh.daemon.reactor import Reactor
from afresh.daemon.startup.interrupted import interrupted_rows
from afresh.daemon.startup.moved import moved_rows
from afresh.daemon.streams.leftovers import remove_unnamed
from afresh.daemon.streams.segments import load_streams
from afresh.storage.artifacts.files import delete
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.commit import Commit
from afresh.storage.ledger.reader import Reader

_log = logging.getLogger("afresh")


class Recovered(NamedTuple):
    """The parts that go on from what the ledger has."""

    reactor: Reactor
    alerts: Alerts
    paused_sensors: set[str]
    stopped: dict[str, str]
    """Functions that led to themselves and were stopped, and why."""
    staging: str
    """Where sensors put what is too large for an event's row."""


async def recover(
    settings: Settings,
    ports: Ports,
    reader: Reader,
    manifest: Manifest,
    broken: tuple[str, ...],
) -> Recovered:
    """Close what was interrupted, take over the definitions, and rebuild the planner.

    `broken` are functions that are made by their last good definitions.
    """
    old = await _close_interrupted(settings, ports, reader)
    state = saved.load_state(reader.rows)
    journal = Journal(state.seq, reader.rows)
    journal.restore(state.pending)
    alerts = Alerts(
        [build(**table) for table in map(_kind_first, settings.alerts)],
        ports.ledger,
        ports.require,
        ports.now,
        {row.subject for row in state.alerts},
        waiting=load_notices(reader.rows),
    )
    staging = str(Path(settings.state, "staged"))
    remove_unnamed(staging, reader.rows)
    reactor = Reactor(Planner(Topology()), journal, ports, load_streams(reader.rows))
    reactor.planner.max_wait_seconds = settings.max_wait_seconds
    reactor.planner.ingests.most_pending = settings.most_pending
    if old is None or old.digest != manifest.digest:
        rows = definitions_rows(reactor, manifest, old, reader, state.epoch + 1)
        await ports.ledger.commit(Commit(tuple(rows), ports.require))
    paused_sensors = {row.name for row in state.pauses if row.kind == "sensor"}
    epoch = max(state.epoch, 1)
    stopped = stopped_functions(state)
    # Thousands of rows need not be there beside the next ones.
    del old, state
    reactor.planner = mark(rebuild(reactor, manifest, reader, epoch), broken)
    return Recovered(reactor, alerts, paused_sensors, stopped, staging)


async def _close_interrupted(settings: Settings, ports: Ports, reader: Reader) -> Manifest | None:
    """End the runs that the last daemon left, collect what they staged; the last definitions.

    Before all else, artifacts are looked for where they are now.
    """
    if moved := moved_rows(reader.rows, settings.artifacts):
        await ports.ledger.commit(Commit(tuple(moved), ports.require))
    under_way = [saved.RunRow(*row) for row in reader.rows(queries.RUNS_UNDER_WAY, {})]
    if under_way:
        updates, staged = interrupted_rows(under_way, reader.rows, ports.now())
        await discard(staged)
        await ports.ledger.commit(Commit(tuple(updates), ports.require))
    return last_manifest(reader)


async def discard(uris: list[str]) -> None:
    """Delete artifacts that nothing refers to; `afresh verify` finds what cannot be deleted."""
    try:
        await anyio.to_thread.run_sync(delete, uris)
    except (OSError, ArtifactError) as error:
        _log.warning("cannot delete what is not needed: %s", error)


def _kind_first(table: dict[str, Any]) -> dict[str, Any]:
    """A notifier's table as `build` takes it."""
    return {"kind": table["kind"], "options": {k: v for k, v in table.items() if k != "kind"}}
