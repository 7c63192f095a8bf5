"""Assets that have other keys under new definitions than they had: which of their units stay.

A unit whose key is of other dimensions is none of the asset's from then on: it is kept with its
versions, as an asset that was removed is, and comes back with the definitions that it belongs to.
"""

from afresh.assets.manifest import Manifest
from afresh.assets.planner.topology import Plan, build_topology
from afresh.storage.ledger import queries, validations
from afresh.storage.ledger.check import Reads
from afresh.storage.ledger.commit import Update


def other_keys_rows(
    manifest: Manifest, old: Manifest | None, reader: Reads, epoch: int
) -> list[Update]:
    """Of these definitions' epoch on, the state of units that leave an asset or come back to it."""
    if old is None:
        return []
    before, after = build_topology(old).assets, build_topology(manifest).assets
    rows = []
    for asset, (plan, _) in after.items():
        was = before.get(asset)
        if was is not None and was[0].dimensions == plan.dimensions:
            continue
        if was is None and not reader.rows(validations.HAS_UNITS, {"asset": asset}):
            continue
        for key, version, deleted, valid in reader.rows(queries.UNIT_STATES, {"asset": asset}):
            now = version if plan.has_key(key) and _has_data(plan, deleted=deleted) else None
            if now != valid:
                row = {"asset": asset, "partition": key, "epoch": epoch, "version": now}
                rows.append({**row, "run": None})
    return [Update("upsert", "validity", rows)] if rows else []


def _has_data(plan: Plan, *, deleted: bool) -> bool:
    """Whether a unit that is deleted has what it had: its source says so."""
    return not deleted or (plan.source is not None and plan.source.on_delete != "propagate")
