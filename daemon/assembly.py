"""The running parts of a daemon put together: reactor, sensors, generations, alerts, controls."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskGroup

from afresh.assets.errors import ArtifactError, SensorError
from afresh.assets.manifest import Manifest, Problem
from afresh.assets.partition import format_ref
from afresh.assets.planner.look import Looks
from afresh.assets.planner.nodes import Node
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import Topology
from afresh.daemon.alerts import Alerts
from afresh.daemon.config import Settings
from afresh.daemon.controls import DaemonControls
from afresh.daemon.generations import (
    Generations,
    definitions_rows,
    last_manifest,
    rebuild,
    say,
)
from afresh.daemon.housekeeping import keep_house
from afresh.daemon.http.server import HttpServer
from afresh.daemon.interrupted import interrupted_rows
from afresh.daemon.journal import Journal
from afresh.daemon.loop_guard import LoopGuard, stopped_functions
from afresh.daemon.moved import moved_rows
from afresh.daemon.notifiers.load import build
from afresh.daemon.outgoing.assemble import deliveries
from afresh.daemon.ports import Ports
from afresh.daemon.reactor import Reactor
from afresh.daemon.recorded import LedgerRecords
from afresh.daemon.storms import Storms, budget_of
from afresh.daemon.stream_files import StreamFiles, remove_unnamed
from afresh.daemon.streams import load_streams
from afresh.daemon.supervisor import Supervisor
from afresh.daemon.workers.pool import WorkerPool
from afresh.sensors.base import Health, Sensor
from afresh.sensors.buckets.url import object_path
from afresh.sensors.uri import path_of
from afresh.sensors.watcher import FolderWatcher
from afresh.storage.artifacts.files import delete
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.commit import Commit, Require
from afresh.storage.ledger.reader import Reader
from afresh.storage.ledger.sqlite import SqliteLedger

_log = logging.getLogger("afresh")


class DaemonView:
    """The project as the running daemon sees it."""

    def __init__(self, settings: Settings, daemon: "Daemon", now: Callable[[], float]) -> None:
        self.project = settings.project
        self.settings = settings
        self._daemon = daemon
        self._now = now

    @property
    def manifest(self) -> Manifest:
        """The definitions in force."""
        return self._daemon.generations.manifest

    @property
    def planner(self) -> Looks:
        """The state of the units."""
        return Looks(self._daemon.reactor.planner)

    @property
    def reader(self) -> Reader:
        """The ledger."""
        return self._daemon.reader

    def sensors(self) -> list[dict[str, Any]]:
        """One row a sensor."""
        last = {row[0]: row[2] for row in self.reader.rows(queries.LAST_EVENTS, {})}
        return self._with_storms(self._daemon.supervisor.rows(last))

    def _with_storms(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Say of each source that is over its budget how much of it waits."""
        planner = self._daemon.reactor.planner
        for row in rows:
            waiting = planner.ingests.budgets.waiting().get(row["source"])
            if waiting:
                budget = budget_of(planner, row["source"])
                note = f"over its budget of {budget}: {waiting} wait to be read"
                row["error"] = "; ".join(filter(None, [row["error"], note]))
        return rows

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now()

    async def breathe(self) -> None:
        """Let the reactor work in the middle of a long answer."""
        await anyio.lowlevel.checkpoint()


@dataclass(eq=False)
class Daemon:
    """All parts, running. `stop` asks for the end, `drain` waits for what is under way."""

    reactor: Reactor
    supervisor: Supervisor
    generations: Generations
    reader: Reader
    now: Callable[[], float]
    settings: Settings
    http: HttpServer
    stop_wanted: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        """Make what the API sees."""
        self.view = DaemonView(self.settings, self, self.now)
        self.controls = DaemonControls(
            self.reactor, self.supervisor, self.generations, self.reader, self.stop
        )

    def stop(self) -> None:
        """Ask for a graceful stop."""
        self.stop_wanted.set()

    async def first_scan(self) -> None:
        """Wait until every running sensor has looked at everything once, or has failed."""
        await self.supervisor.wait_until_checked()

    async def drain(self) -> None:
        """Start and take nothing more; wait for what is running and its commits."""
        self.http.stopping = True
        self.reactor.dispatching = False
        while self.reactor.under_way or not self.reactor.empty:
            await self.reactor.changed()


@asynccontextmanager
async def assemble(
    settings: Settings,
    *,
    ledger: SqliteLedger,
    pool: WorkerPool,
    manifest: Manifest,
    require: Require,
    now: Callable[[], float],
    new_id: Callable[[], str],
    random: Random,
    problem: Callable[[str], None],
) -> AsyncIterator[Daemon]:
    """Rebuild the state from the ledger, start all parts, and end them in the reverse order."""
    reader = ledger.reader
    old = await _close_interrupted(ledger, require, now, settings)
    watcher = FolderWatcher(
        settings.project,
        now=now,
        interval_seconds=settings.scan_interval_seconds,
        skip=[settings.state],
    )
    state = saved.load_state(reader.rows)
    journal = Journal(state.seq)
    for event in state.pending:
        journal.keep(event._asdict())
    alerts = Alerts(
        [build(**table) for table in map(_kind_first, settings.alerts)],
        ledger,
        (require,),
        now,
        {row.subject for row in state.alerts},
    )
    ports = Ports(
        now=now,
        new_id=new_id,
        random=random,
        ledger=ledger,
        executor=pool,
        require=(require,),
        artifacts=settings.artifacts,
        path_of=lambda uri: path_of(uri, settings.project),
        relative_of=lambda uri: _matched(uri, watcher, settings.project),
        discard=partial(_discard, settings),
    )
    staging = str(Path(settings.state, "staged"))
    remove_unnamed(staging, reader.rows)
    reactor = Reactor(Planner(Topology()), journal, ports, load_streams(reader.rows))
    reactor.planner.max_wait_seconds = settings.max_wait_seconds
    if old is None or old.digest != manifest.digest:
        rows = definitions_rows(reactor, manifest, old, reader, state.epoch + 1)
        await ledger.commit(Commit(tuple(rows), (require,)))
    paused_sensors = {row.name for row in state.pauses if row.kind == "sensor"}
    epoch = max(state.epoch, 1)
    stopped = stopped_functions(state)
    # This frame lives as long as the daemon: thousands of rows must not, nor beside the next ones.
    del old, state
    reactor.planner = rebuild(reactor, manifest, reader, epoch)
    async with anyio.create_task_group() as tasks:
        http = HttpServer(
            settings.http, tasks, now=now, expected=lambda: _paths(generations.manifest)
        )
        supervisor = Supervisor(
            tasks,
            http=http,
            watcher=watcher,
            emit=reactor.offer,
            recorded=LedgerRecords(reader),
            project=settings.project,
            staging=staging,
            now=now,
            random=random,
            on_health=partial(_watch_health, alerts, manifest),
        )
        supervisor.paused = paused_sensors
        ports.on_read = supervisor.confirm
        ports.on_trouble = partial(_tell_trouble, alerts, reactor)
        _guard_against_storms(tasks, reactor, alerts, settings.project, stopped)

        def follow(manifest: Manifest) -> None:
            supervisor.follow(manifest)
            if settings.http or _hint_paths(manifest):
                tasks.start_soon(_listen, http, problem)

        generations = Generations(
            settings,
            pool,
            reader,
            manifest,
            on_problems=partial(_report, problem),
            on_taken=follow,
        )
        generations.reactor = reactor
        await tasks.start(watcher.run)
        tasks.start_soon(reactor.run)
        tasks.start_soon(supervisor.run)
        tasks.start_soon(alerts.run)
        tasks.start_soon(generations.watch)
        tasks.start_soon(keep_house, settings, now)
        tasks.start_soon(StreamFiles(reactor, reader.rows, now).run)
        for delivery in deliveries(settings, lambda: generations.manifest, reader, reactor, alerts):
            tasks.start_soon(delivery.run)
        follow(manifest)
        if settings.http:
            await _listen(http, problem)
        reactor.wake()
        yield Daemon(reactor, supervisor, generations, reader, now, settings, http)
        tasks.cancel_scope.cancel()


async def _close_interrupted(
    ledger: SqliteLedger, require: Require, now: Callable[[], float], settings: Settings
) -> Manifest | None:
    """End the runs that the last daemon left, collect what they staged; the last definitions.

    Before all else, artifacts are looked for where they are now.
    """
    read = ledger.reader.rows
    if moved := moved_rows(read, settings.artifacts):
        await ledger.commit(Commit(tuple(moved), (require,)))
    under_way = [saved.RunRow(*row) for row in read(queries.RUNS_UNDER_WAY, {})]
    if under_way:
        updates, staged = interrupted_rows(under_way, read, now())
        await _discard(settings, staged)
        await ledger.commit(Commit(tuple(updates), (require,)))
    return last_manifest(ledger.reader)


async def _discard(settings: Settings, uris: list[str]) -> None:
    """Delete artifacts that nothing refers to.

    What cannot be deleted is found by `afresh verify`.
    """
    del settings
    try:
        await anyio.to_thread.run_sync(delete, uris)
    except (OSError, ArtifactError) as error:
        _log.warning("cannot delete what is not needed: %s", error)


async def _listen(http: HttpServer, problem: Callable[[str], None]) -> None:
    """Listen though nothing is declared that needs it, as the settings say."""
    try:
        await http.listen()
    except SensorError as error:
        problem(str(error))


def _paths(manifest: Manifest) -> set[str]:
    """Name the paths of the webhooks that are declared."""
    sensors = [source.sensor for source in manifest.sources]
    paths = {str(s.options["path"]) for s in sensors if "path" in s.options}
    return paths | _hint_paths(manifest)


def _hint_paths(manifest: Manifest) -> set[str]:
    """Name the paths at which object stores tell of changes: nobody else listens for those."""
    told = [str(source.sensor.options.get("notifications", "")) for source in manifest.sources]
    return {text.removeprefix("webhook:") for text in told if text.startswith("webhook:")}


def _matched(uri: str, watcher: FolderWatcher, project: str) -> str:
    """Give what patterns are matched with: of a file its path in the project, of an object its."""
    return object_path(uri) if "://" in uri else watcher.relative(path_of(uri, project))


def _kind_first(table: dict[str, Any]) -> dict[str, Any]:
    """A notifier's table as `build` takes it."""
    return {"kind": table["kind"], "options": {k: v for k, v in table.items() if k != "kind"}}


def _report(problem: Callable[[str], None], problems: tuple[Problem, ...]) -> None:
    for item in problems:
        problem(say(item))


def _tell_trouble(alerts: Alerts, reactor: Reactor, node: Node, well: bool) -> None:
    """A unit failed for good, or is well again: to its owner, with the why."""
    looks, now = Looks(reactor.planner), reactor.ports.now()
    for asset in node.plan.assets:
        subject = format_ref(asset, node.key)
        owner = _owner(node, asset)
        if well:
            alerts.recovered(subject, owner)
            continue
        unit = looks.look(asset, node.key, now)
        if unit.state == "failed":
            why = tuple(reason.detail for reason in unit.reasons)
            alerts.failed(subject, why[0] if why else "failed", why, owner)


def _guard_against_storms(
    tasks: TaskGroup, reactor: Reactor, alerts: Alerts, project: str, stopped: dict[str, str]
) -> None:
    """Look at each step for sources over their budget and for loops through outside writes."""
    storms = Storms(partial(_tell_storm, alerts, reactor))
    guard = LoopGuard(tasks, reactor, alerts, project, stopped)

    def after_step(planner: Planner) -> None:
        storms.look(planner)
        guard.look(planner)

    ports = reactor.ports
    ports.on_events, ports.on_run, ports.after_step = guard.loops.arrived, guard.ended, after_step


def _tell_storm(alerts: Alerts, reactor: Reactor, name: str, budget: str, waiting: int) -> None:
    """A source brings more than its budget, or no longer does."""
    plan = reactor.planner.topology.plans.get(name)
    owner = plan.source.owner if plan is not None and plan.source is not None else ""
    if waiting:
        error = f"more arrives than its budget of {budget}: what is recorded is read later"
        alerts.failed(f"source {name}", error, (error,), owner)
    else:
        alerts.recovered(f"source {name}", owner)


def _owner(node: Node, asset: str) -> str:
    if node.plan.source is not None:
        return node.plan.source.owner
    function = node.plan.function
    outputs = function.outputs if function is not None else ()
    return next((output.owner for output in outputs if output.asset == asset), "")


def _watch_health(alerts: Alerts, manifest: Manifest, sensor: Sensor, health: Health) -> None:
    owner = next((s.owner for s in manifest.sources if s.name == sensor.name), "")
    if health.state == "failed":
        alerts.failed(f"sensor {sensor.name}", health.error, (health.error, health.hint), owner)
    else:
        alerts.recovered(f"sensor {sensor.name}", owner)
