"""The composition root: what runs is put together; time, ids and randomness come from here alone.

`serve` is the daemon, `perform` one command that changes something while none runs, `load` a look
at the definitions.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from afresh.assets.errors import AfreshError, LedgerUnavailable, StorageUnavailable
from afresh.assets.manifest import Manifest
from afresh.assets.planner.look import Looks
from afresh.daemon import readiness
from afresh.daemon.api.local import serve as serve_socket
from afresh.daemon.api.operations import perform as perform_operation
from afresh.daemon.api.view import Observer
from afresh.daemon.api.wire import socket_path
from afresh.daemon.assembly import Daemon, assemble
from afresh.daemon.config import Settings
from afresh.daemon.definitions.loading import load_first, load_manifest
from afresh.daemon.ids import IdMaker
from afresh.daemon.memory import release_memory
from afresh.daemon.patience import Patience
from afresh.daemon.workers.pool import WorkerPool
from afresh.storage.ledger.lease import Lease, acquire_lease
from afresh.storage.ledger.lock import Holder
from afresh.storage.ledger.sqlite import SqliteLedger

GRACE_SECONDS = 10.0
"""How long a stop waits for what is running; a second signal ends it at once."""


def _now() -> float:
    return time.time()  # noqa: TID251 - the one clock


def _pool(settings: Settings) -> WorkerPool:
    return WorkerPool(
        state_dir=settings.state,
        python=sys.executable,
        size=settings.workers,
        project=settings.project,
        log_dir=str(Path(settings.state, "logs")),
        artifacts=settings.artifacts,
    )


async def load(settings: Settings) -> Manifest:
    """Load the definitions as they are on disk, with all problems found.

    Nothing else is touched.
    """
    with _unwrapped():
        async with _pool(settings) as pool:
            return await load_manifest(pool, settings)
    raise AssertionError


async def serve(settings: Settings, *, until_idle: bool, observer: Observer) -> int:
    """Run the daemon until it is stopped; 0, or with `until_idle` 1 if a unit is failed or blocked.

    With `until_idle` 1, too, when nothing could be stored for long.
    Raises LedgerError (another daemon leads, cannot be written), DefinitionError (nothing loads).
    """
    with _unwrapped():
        return await _serve(settings, until_idle=until_idle, observer=observer)
    raise AssertionError


async def _serve(settings: Settings, *, until_idle: bool, observer: Observer) -> int:
    stop, patience = Stop(), Patience(observer.problem)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_catch_signals, stop, tasks.cancel_scope)
            if until_idle:
                tasks.start_soon(patience.end, tasks.cancel_scope)
            code = await _serve_until(
                stop, patience, settings, until_idle=until_idle, observer=observer
            )
            tasks.cancel_scope.cancel()
            return code
    except* LedgerUnavailable:
        # What could not be written by then is refused as the ledger closes.
        if not patience.lost:
            raise
    if patience.lost:
        observer.problem(f"gave up: {patience.lost}")
        return 1
    return 0


async def _serve_until(
    stop: "Stop", patience: Patience, settings: Settings, *, until_idle: bool, observer: Observer
) -> int:
    async with _running(settings, observer.problem, patience, strict=until_idle) as daemon:
        stop.daemon = daemon
        observer.watching(daemon.view)
        await daemon.first_scan()
        release_memory()
        observer.ready(_describe(daemon))
        readiness.ready(_describe(daemon))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_observe, daemon, observer)
            if until_idle:
                tasks.start_soon(_stop_when_idle, daemon)
            await daemon.stop_wanted.wait()
            readiness.stopping()
            with anyio.move_on_after(GRACE_SECONDS):
                await daemon.drain()
            tasks.cancel_scope.cancel()
        return _exit_code(daemon) if until_idle else 0


async def perform(settings: Settings, op: str, params: dict[str, Any], *, request: str) -> Any:
    """Do one operation that changes something, under the lease, and end when it is done."""
    with _unwrapped():
        patience = Patience(_silence)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(patience.end, tasks.cancel_scope)
            async with _running(settings, _silence, patience, strict=True) as daemon:
                await daemon.first_scan()
                params = {**params, "request": request}
                answer = await perform_operation(daemon.view, daemon.controls, op, params)
                # Other commands have found us meanwhile, as they would a daemon.
                await daemon.requests.answered()
                with anyio.move_on_after(GRACE_SECONDS):
                    await daemon.drain()
            tasks.cancel_scope.cancel()
            return answer
        raise StorageUnavailable(
            f"Expected to store what is made, found that {patience.lost}",
            hint="make room or see what holds it, then try again: nothing is lost",
        )
    raise AssertionError


def _silence(_problem: str) -> None:
    """Nobody is told: what cannot be done is the answer's to say."""


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Task groups wrap what goes through them: people are told the error itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        found: BaseException | None = group.subgroup(AfreshError)
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if found is None:
            raise
        raise found from group


@asynccontextmanager
async def _running(
    settings: Settings, problem: Callable[[str], None], patience: Patience, *, strict: bool
) -> AsyncIterator[Daemon]:
    """Lease, ledger, workers and everything above them; given back in the reverse order."""
    for folder in (Path(settings.state), Path(settings.state, "logs")):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    holder = Holder(
        "afresh", os.getpid(), socket.gethostname(), _now(), socket_path(settings.state)
    )
    lease: Lease = await anyio.to_thread.run_sync(acquire_lease, Path(settings.ledger), holder)
    try:
        ledger = SqliteLedger(Path(settings.ledger), patience.problem)
        try:
            async with _pool(settings) as pool:
                manifest, broken = await load_first(
                    pool, settings, ledger.reader, problem, strict=strict
                )
                await pool.activate(manifest.digest)
                random = Random()  # noqa: S311 - jitter, not secrets
                ids = IdMaker(_now, random)
                async with (
                    assemble(
                        settings,
                        ledger=ledger,
                        pool=pool,
                        manifest=manifest,
                        broken=broken,
                        require=lease.require,
                        now=_now,
                        new_id=ids,
                        random=random,
                        problem=problem,
                        unwritable=lambda: patience.ledger,
                    ) as daemon,
                    anyio.create_task_group() as tasks,
                ):
                    where = socket_path(settings.state)
                    await tasks.start(
                        serve_socket, where, daemon.view, daemon.controls, daemon.requests
                    )
                    patience.planner = lambda: daemon.reactor.planner
                    yield daemon
                    tasks.cancel_scope.cancel()
        finally:
            await ledger.aclose()
    finally:
        lease.release(_now())


def _describe(daemon: Daemon) -> str:
    manifest = daemon.generations.manifest
    outputs = sum(len(function.outputs) for function in manifest.functions)
    where = f", {daemon.http.url}" if daemon.http.url else ""
    epoch = daemon.reactor.planner.epoch
    return f"{len(manifest.sources)} sources, {outputs} assets, epoch {epoch}{where}"


async def _observe(daemon: Daemon, observer: Observer) -> None:
    async for line in daemon.controls.subscribe():
        observer.event(line)


class Stop:
    """What a signal stops: the daemon, or its start while there is none yet."""

    def __init__(self) -> None:
        self.daemon: Daemon | None = None


async def _catch_signals(stop: Stop, starting: anyio.CancelScope) -> None:
    """The first signal asks for a graceful stop; a second one ends it at once."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            if stop.daemon is None:
                starting.cancel()
            elif stop.daemon.stop_wanted.is_set():
                # Workers end with us; their runs are found to be interrupted.
                os._exit(130)
            else:
                stop.daemon.stop()


async def _stop_when_idle(daemon: Daemon) -> None:
    """Scan, let everything settle, and look whether anything came meanwhile."""
    await daemon.controls.scan("")
    while True:
        await daemon.controls.wait(None, None)
        await daemon.requests.answered()
        if daemon.reactor.idle and daemon.supervisor.quiet and daemon.revalidation.idle:
            daemon.stop()
            return
        await anyio.sleep(0.02)


def _exit_code(daemon: Daemon) -> int:
    looks, now = Looks(daemon.reactor.planner), _now()
    states = {looks.look(asset, key, now).state for asset, key in looks.units()}
    return 1 if states & {"failed", "blocked"} else 0
