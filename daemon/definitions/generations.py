"""Definitions as they are in force.

Loaded in a worker from a hashed snapshot, taken over as a change.

When a definition file changes on disk the new generation is prepared beside the old one; if it does
not load the old one stays in force. Old attempts end in the generation that they began in.
"""

import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from afresh.assets.errors import AfreshError, DefinitionError
from afresh.assets.manifest import Manifest, Problem
from afresh.assets.planner.planner import Change
from afresh.daemon.config import Settings, load_settings
from afresh.daemon.definitions.code_watch import code_changes
from afresh.daemon.definitions.last_good import mark, only_breaks
from afresh.daemon.definitions.loading import Loads, load_manifest, refusal
from afresh.daemon.definitions.takeover import definitions_rows, rebuild
from afresh.daemon.workers import snapshot
from afresh.storage.ledger.check import Reads
from afresh.storage.ledger.commit import Update

if TYPE_CHECKING:
    from afresh.daemon.reactor import Reactor

_log = logging.getLogger("afresh.definitions")


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
