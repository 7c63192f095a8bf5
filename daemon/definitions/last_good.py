"""The definitions that were last in force: what stays when a module does not import."""

import os
from pathlib import Path
from typing import Any

import msgspec

from afresh.assets.manifest import Manifest
from afresh.assets.planner.planner import Planner
from afresh.daemon.config import Settings, load_settings
from afresh.storage.ledger import queries
from afresh.storage.ledger.check import Reads


def last_manifest(reader: Reads) -> Manifest | None:
    """The definitions that were last in force."""
    rows = reader.rows(queries.LAST_DEFINITIONS, {})
    return msgspec.msgpack.decode(rows[0][2], type=Manifest) if rows else None


def find_snapshot(settings: Settings, manifest: Manifest | None) -> str | None:
    """Where the files that a manifest was loaded from are kept; None if they are no more."""
    root = Path(settings.state, "snapshots", manifest.digest) if manifest is not None else None
    return str(root) if root is not None and root.is_dir() else None


def parameters_of(root: str, settings: Settings) -> dict[str, dict[str, Any]]:
    """The parameters as a snapshot has them: what it makes is of its own, not of newer settings."""
    try:
        return load_settings(root, os.environ).parameters
    except Exception:  # noqa: BLE001 - its settings may be elsewhere, or of an older release
        return settings.parameters


def only_breaks(manifest: Manifest, old: Manifest | None) -> bool:
    """Whether new definitions are the old ones, but for modules that do not import any more.

    Then nothing of them is new: the old ones stay in force as a whole.
    """
    if old is None or old.kept or not manifest.kept:
        return False
    kept = set(manifest.kept)
    return all(
        [part for part in mine if part.name not in kept]
        == [part for part in theirs if part.name not in kept]
        for mine, theirs in ((manifest.sources, old.sources), (manifest.functions, old.functions))
    )


def mark(planner: Planner, names: tuple[str, ...]) -> Planner:
    """Mark what is made by its last good definition, since its module does not import."""
    for plan in planner.topology.plans.values():
        plan.outdated = plan.name in names
    return planner
