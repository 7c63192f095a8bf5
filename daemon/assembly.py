"""The running parts of a daemon put together: reactor, sensors, generations, alerts, controls."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskGroup

from afresh.assets.errors import SensorError
from afresh.assets.manifest import Manifest, Problem
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.segments import Most
from afresh.daemon.api.local import Requests
from afresh.daemon.config import Settings
from afresh.daemon.controls import DaemonControls
from afresh.daemon.definitions.generations import Generations
from afresh.daemon.definitions.loading import say
from afresh.daemon.definitions.revalidation import Revalidation
from afresh.daemon.guards.loop_guard import LoopGuard
from afresh.daemon.guards.storms import Storms
from afresh.daemon.housekeeping import keep_house
from afresh.daemon.http.paths import declared_paths, hint_paths
from afresh.daemon.http.server import HttpServer
from afresh.daemon.live_view import DaemonView
from afresh.daemon.memory import release_when_idle
from afresh.daemon.notifiers.alerts import Alerts
from afresh.daemon.notifiers.troubles import (
    tell_health,
    tell_missed,
    tell_storm,
    tell_trouble,
)
from afresh.daemon.outgoing.assemble import deliveries
from afresh.daemon.ports import Ports
from afresh.daemon.reactor import Reactor
from afresh.daemon.sensing.recorded import LedgerRecords
from afresh.daemon.sensing.supervisor import Supervisor
from afresh.daemon.startup.recovery import discard, recover
from afresh.daemon.streams.compaction import Compaction
from afresh.daemon.streams.leftovers import StreamFiles
from afresh.daemon.streams.letter_keeping import LetterKeeping
from afresh.daemon.workers.pool import WorkerPool
from afresh.sensors.buckets.url import object_path
from afresh.sensors.folders.watcher import FolderWatcher
from afresh.sensors.uri import path_of
from afresh.storage.ledger.commit import Require
from afresh.storage.ledger.reader import Reader
from afresh.storage.ledger.sqlite import SqliteLedger


@dataclass(eq=False)
class Daemon:
    """All parts, running. `stop` asks for the end, `drain` waits for what is under way."""

    reactor: Reactor
    supervisor: Supervisor
    generations: Generations
    revalidation: Revalidation
    alerts: Alerts
    reader: Reader
    now: Callable[[], float]
    settings: Settings
    http: HttpServer
    unwritable: Callable[[], str]
    stop_wanted: anyio.Event = field(default_factory=anyio.Event)
    requests: Requests = field(default_factory=Requests)

    def __post_init__(self) -> None:
        """Make what the API sees."""
        self.view = DaemonView(
            self.settings,
            self.reactor,
            self.supervisor,
            self.generations,
            self.reader,
            self.now,
            self.unwritable,
        )
        self.controls = DaemonControls(
            self.reactor,
            self.supervisor,
            self.generations,
            self.reader,
            self.stop,
            heads_done=self.revalidation.heads_done,
        )

    def stop(self) -> None:
        """Ask for a graceful stop."""
        self.stop_wanted.set()

    async def first_scan(self) -> None:
        """Wait until every running sensor has looked at everything once, or has failed."""
        await self.supervisor.wait_until_checked()

    async def drain(self) -> None:
        """Start nothing more; wait for what is running, its commits, and its alerts."""
        self.http.stopping = True
        await self.reactor.drain()
        await self.alerts.drain()


@asynccontextmanager
async def assemble(
    settings: Settings,
    *,
    ledger: SqliteLedger,
    pool: WorkerPool,
    manifest: Manifest,
    broken: tuple[str, ...],
    require: Require,
    now: Callable[[], float],
    new_id: Callable[[], str],
    random: Random,
    problem: Callable[[str], None],
    unwritable: Callable[[], str],
) -> AsyncIterator[Daemon]:
    """Rebuild the state from the ledger, start all parts, and end them in the reverse order.

    `unwritable` says why the ledger cannot be written, "" where it can.
    """
    reader = ledger.reader
    watcher = FolderWatcher(
        settings.project,
        now=now,
        interval_seconds=settings.scan_interval_seconds,
        skip=[settings.state],
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
        discard=discard,
        most_new=Most(settings.new_rows, settings.new_bytes),
    )
    recovered = await recover(settings, ports, reader, manifest, broken)
    reactor, alerts = recovered.reactor, recovered.alerts
    pool.on_lent = reactor.wake
    async with anyio.create_task_group() as tasks:
        http = HttpServer(
            settings.http, tasks, now=now, expected=lambda: declared_paths(generations.manifest)
        )
        supervisor = Supervisor(
            tasks,
            http=http,
            watcher=watcher,
            record=reactor.record,
            room=reactor.room,
            is_flooded=reactor.is_flooded,
            recorded=LedgerRecords(reader),
            project=settings.project,
            staging=recovered.staging,
            now=now,
            random=random,
            on_health=partial(tell_health, alerts, reactor),
        )
        supervisor.paused = recovered.paused_sensors
        ports.on_read = supervisor.confirm
        ports.on_trouble = partial(tell_trouble, alerts, reactor)
        tell_missed(alerts, reactor)
        _guard_against_storms(
            tasks,
            reactor,
            alerts,
            project=settings.project,
            stopped=recovered.stopped,
            reader=reader,
        )

        def follow(manifest: Manifest) -> None:
            supervisor.follow(manifest)
            revalidation.wake()
            if settings.http or hint_paths(manifest):
                tasks.start_soon(_listen, http, problem)

        generations = Generations(
            tasks,
            settings,
            pool,
            reader,
            manifest,
            on_problems=partial(_report, problem),
            on_taking=supervisor.withdraw,
            on_taken=follow,
        )
        generations.reactor = reactor
        revalidation = Revalidation(reactor, reader.rows, lambda: generations.manifest, alerts)
        await tasks.start(watcher.run)
        for run in (reactor.run, supervisor.run, alerts.run, generations.watch, revalidation.run):
            tasks.start_soon(run)
        tasks.start_soon(keep_house, settings, now)
        tasks.start_soon(
            release_when_idle, lambda: reactor.idle, lambda: generations.manifest.digest
        )
        _keep_streams(tasks, reactor, reader, settings)
        for delivery in deliveries(settings, lambda: generations.manifest, reader, reactor, alerts):
            tasks.start_soon(delivery.run)
        follow(manifest)
        if settings.http:
            await _listen(http, problem)
        reactor.wake()
        yield Daemon(
            reactor,
            supervisor,
            generations,
            revalidation,
            alerts,
            reader,
            now,
            settings,
            http,
            unwritable,
        )
        tasks.cancel_scope.cancel()


def _keep_streams(tasks: TaskGroup, reactor: Reactor, reader: Reader, settings: Settings) -> None:
    """Start what merges, removes and drops of streams what is too much."""
    now = reactor.ports.now
    letters = LetterKeeping(
        reactor,
        reader.rows,
        now,
        most=settings.dead_letters,
        most_bytes=settings.dead_letter_bytes,
    )
    for keeper in (StreamFiles(reactor, reader.rows, now), Compaction(reactor, now), letters):
        tasks.start_soon(keeper.run)


async def _listen(http: HttpServer, problem: Callable[[str], None]) -> None:
    """Listen though nothing is declared that needs it, as the settings say."""
    try:
        await http.listen()
    except SensorError as error:
        problem(str(error))


def _matched(uri: str, watcher: FolderWatcher, project: str) -> str:
    """Give what patterns are matched with: of a file its path in the project, of an object its."""
    return object_path(uri) if "://" in uri else watcher.relative(path_of(uri, project))


def _report(problem: Callable[[str], None], problems: tuple[Problem, ...]) -> None:
    for item in problems:
        problem(say(item))


def _guard_against_storms(
    tasks: TaskGroup,
    reactor: Reactor,
    alerts: Alerts,
    *,
    project: str,
    stopped: dict[str, str],
    reader: Reader,
) -> None:
    """Look at each step for sources over their budget and for loops through outside writes."""
    storms = Storms(partial(tell_storm, alerts, reactor))
    guard = LoopGuard(tasks, reactor, alerts, project, stopped)

    def after_step(planner: Planner) -> None:
        storms.look(planner)
        guard.look(planner)

    ports = reactor.ports
    ports.on_events, ports.on_end, ports.after_step = guard.loops.arrived, guard.ended, after_step
    ports.depth_of, ports.depth_of_run = guard.loops.depth_of, guard.loops.depth_of_run
    guard.restore(reader.rows)
