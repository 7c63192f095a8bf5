"""Definitions from the disk to a manifest: a hashed snapshot, loaded in a process of its own."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import anyio.to_thread

from afresh.assets.errors import DefinitionError, StorageUnavailable
from afresh.assets.manifest import Manifest, Problem
from afresh.daemon.config import Settings
from afresh.daemon.definitions.last_good import (
    find_snapshot,
    last_manifest,
    only_breaks,
    parameters_of,
)
from afresh.daemon.workers import snapshot
from afresh.storage.ledger.check import Reads


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
