"""Definitions as they are in force.

Loaded in a worker from a hashed snapshot, taken over as a change.

When a definition file changes on disk the new generation is prepared beside the old one; if it does
not load the old one stays in force. Old attempts end in the generation that they began in.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from afresh.assets.errors import AfreshError, DefinitionError, StorageUnavailable
from afresh.assets.manifest import Manifest, Problem
from afresh.assets.planner.planner import Change, Planner
from afresh.assets.planner.topology import build_topology
from afresh.daemon.config import Settings, load_settings
from afresh.daemon.definitions.changed_schemas import revalidation_rows
from afresh.daemon.definitions.code_watch import code_changes
from afresh.daemon.definitions.former import former_sources
from afresh.daemon.definitions.last_good import (
    find_snapshot,
    last_manifest,
    mark,
    only_breaks,
    parameters_of,
)
from afresh.daemon.definitions.other_keys import other_keys_rows
from afresh.daemon.definitions.read_again import forgotten_rows, read_again
from afresh.daemon.reactor import Reactor
from afresh.daemon.restore.planner import restore_planner
from afresh.daemon.workers import snapshot
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.check import Reads
from afresh.storage.ledger.commit import Update

_log = logging.getLogger("afresh.definitions")
_encode = msgspec.msgpack.Encoder().encode


class Loads(Protocol):
    """The part of the worker pool that loads definitions."""

    async def load(
        self,
        snapshot: str,
        digest: str,
        modules: Sequence[str],
        parameters: dict[str, dict[str, Any]],
        *,
        last_good: Manifest | None = None,
    ) -> Manifest:
        """Load a snapshot in a new generation server; problems are in the manifest."""
        ...

    async def activate(self, digest: str) -> None:
        """New tasks go to this generation."""
        ...

    async def discard(self, digest: str) -> None:
        """End a generation that is not to be activated."""
        ...


async def load_manifest(
    pool: Loads, settings: Settings, last_good: Manifest | None = None
) -> Manifest:
    """Take a snapshot of the project's files and load it.

    What modules declared that do not import is kept from `last_good`. Raises StorageUnavailable
    where there is no room for it.
    """
    try:
        digest, root = await anyio.to_thread.run_sync(
            snapshot.take, settings.project, settings.state
        )
    except OSError as error:
        raise StorageUnavailable(
            f"Expected to copy the project's files to {settings.state!r}, found: {error.strerror}",
            hint="make room there: the definitions before stay in force",
        ) from error
    parameters = settings.parameters
    return await pool.load(root, digest, settings.definitions, parameters, last_good=last_good)


def refusal(manifest: Manifest) -> DefinitionError | None:
    """Why a manifest cannot be in force: a module that does not import costs its own only."""
    broken = [item for item in manifest.problems if not item.module]
    if not broken and (manifest.sources or manifest.functions or not manifest.problems):
        return None
    first, more = (broken or manifest.problems)[0], len(manifest.problems) - 1
    return DefinitionError(
        first.error + (f" (and {more} more: afresh check)" if more else ""),
        hint=first.hint,
        where=str(first.where) if first.where else "",
    )


async def load_first(
    pool: Loads,
    settings: Settings,
    reader: Reads,
    problem: Callable[[str], None],
    *,
    strict: bool,
) -> tuple[Manifest, tuple[str, ...]]:
    """Load what a daemon starts with: what is on disk, or where that is refused what was last good.

    And what of that is declared by modules that do not import now. Raises DefinitionError when
    there is neither; what is `strict` has no use for other definitions than those on disk.
    """
    last = last_manifest(reader)
    manifest = await load_manifest(pool, settings, last)
    for item in manifest.problems:
        problem(say(item))
    refused = refusal(manifest)
    root = find_snapshot(settings, last)
    if root is None or last is None or (refused is None and not only_breaks(manifest, last)):
        if refused is not None:
            raise refused
        return manifest, ()
    if refused is not None and strict:
        raise refused
    problem("the definitions on disk are refused: those that were last in force stay")
    parameters = parameters_of(root, settings)
    loaded = await pool.load(root, last.digest, settings.definitions, parameters)
    return loaded, manifest.kept


def say(problem: Problem) -> str:
    """A problem in a line: place, error, way out."""
    place = f"{problem.where}: " if problem.where else ""
    return f"{place}{problem.error}" + (f" ({problem.hint})" if problem.hint else "")


class Generations:
    """The manifest in force, and how the next one takes its place."""

    def __init__(
        self,
        tasks: TaskGroup,
        settings: Settings,
        pool: Loads,
        reader: Reads,
        manifest: Manifest,
        *,
        on_problems: Callable[[tuple[Problem, ...]], None],
        on_taking: Callable[[Manifest], Awaitable[None]],
        on_taken: Callable[[Manifest], None],
    ) -> None:
        self.manifest = manifest
        self.problems: tuple[Problem, ...] = ()
        self.reactor: Reactor | None = None
        self._tasks = tasks
        self._settings = settings
        self._pool = pool
        self._reader = reader
        self._on_problems = on_problems
        self._on_taking = on_taking
        self._on_taken = on_taken
        self._lock = anyio.Lock()
        self._refused = ""
        self._refusal: DefinitionError | None = None

    async def reload(self, digest: str = "") -> None:
        """Take over what is on disk, unless it is in force.

        Goes on though its caller is cancelled: workers of the new generation under a planner of the
        old one would give runs the name of other code. Raises DefinitionError if it does not load.
        """
        errors: list[Exception] = []
        ended = anyio.Event()

        async def go_on() -> None:
            try:
                await self._reload(digest)
            except Exception as error:  # noqa: BLE001 - it is the caller's
                errors.append(error)
            ended.set()

        self._tasks.start_soon(go_on)
        await ended.wait()
        for error in errors:
            raise error

    async def _reload(self, digest: str) -> None:
        async with self._lock:
            settings = self._settings
            found = await anyio.to_thread.run_sync(
                snapshot.digest_of, settings.project, settings.state
            )
            if found == self.manifest.digest:
                self.problems, self._refused, self._refusal = (), "", None
                self._mark(())
                return
            if found == self._refused:
                if digest and self._refusal is not None:
                    raise self._refusal
                return
            # Modules and parameters are of a generation; other settings are for the next start.
            settings = self._settings = load_settings(settings.project, os.environ)
            manifest = await load_manifest(self._pool, settings, self.manifest)
            self.problems = manifest.problems
            if manifest.problems:
                self._on_problems(manifest.problems)
            refused = refusal(manifest)
            if refused is not None or only_breaks(manifest, self.manifest):
                self._refused, self._refusal = manifest.digest, refused
                await self._pool.discard(manifest.digest)
                if refused is not None:
                    raise refused
                self._mark(manifest.kept)
                return
            try:
                await self._on_taking(manifest)
                await self._take_over(manifest)
            finally:
                # Those before, if they stay in force.
                self._on_taken(self.manifest)

    async def _take_over(self, manifest: Manifest) -> None:
        """Dispatch nothing between the two: no run has the name of the other's code."""
        reactor = self.reactor
        assert reactor is not None
        reactor.dispatching = False
        try:
            await self._pool.activate(manifest.digest)
            old = self.manifest

            def make(epoch: int) -> tuple[list[Update], list[Change]]:
                return definitions_rows(reactor, manifest, old, self._reader, epoch), []

            def after(epoch: int) -> None:
                reactor.planner = rebuild(reactor, manifest, self._reader, epoch)

            await reactor.tell(make, after)
            self.manifest, self._refused, self._refusal = manifest, "", None
        finally:
            reactor.dispatching = True
            reactor.wake()

    def _mark(self, names: tuple[str, ...]) -> None:
        if self.reactor is not None:
            mark(self.reactor.planner, names)

    async def watch(self) -> None:
        """Reload when a definition file changes on disk, until cancelled."""
        async for _ in code_changes(self._settings.project, self._settings.state):
            try:
                await self.reload()
            except AfreshError as error:
                _log.warning("the definitions do not load, those before stay in force: %s", error)


def definitions_rows(
    reactor: Reactor, manifest: Manifest, old: Manifest | None, reader: Reads, epoch: int
) -> list[Update]:
    """The rows that say that these definitions are in force from this epoch on.

    A source that reads its data otherwise than before reads all its files again. What is stored
    under a schema that changed is to be validated again. A sensor of another kind begins anew. What
    has keys of other dimensions has other units.
    """
    now = reactor.ports.now()
    event = reactor.journal.request("code", "", manifest.digest, now, epoch)
    row = {
        "epoch": epoch,
        "digest": manifest.digest,
        "manifest": _encode(manifest),
        "loaded_at": now,
    }
    former = former_sources(manifest, old, reader) if old is not None else {}
    events = [event, *read_again(reactor, manifest, former, reader, now)]
    return [
        Update("insert", "definitions", [row]),
        Update("insert", "event", events),
        *forgotten_rows(manifest, former, reader, now),
        *other_keys_rows(manifest, old, reader, epoch),
        *revalidation_rows(old, manifest, reader.rows, event["seq"]),
    ]


def rebuild(reactor: Reactor, manifest: Manifest, reader: Reads, epoch: int) -> Planner:
    """The planner for new definitions, from the ledger.

    What is running goes on in it if its unit does, and what was asked for by hand waits on.
    """
    old = reactor.planner
    now = reactor.ports.now()
    state = saved.load_state(reader.rows)
    planner = restore_planner(
        build_topology(manifest), reader.rows, state, max_wait_seconds=old.max_wait_seconds, now=now
    )
    planner.epoch = max(planner.epoch, epoch)
    planner.ingests.most_pending = old.ingests.most_pending
    planner.graph.stopped = old.graph.stopped
    planner.take_requests(old)
    for attempt in old.running:
        if planner.adopt(attempt):
            continue
        reactor.cancel(attempt.run)
    return planner
