"""The rows of units whose head moved without a run."""

from typing import Any

from afresh.assets.planner.changes import Settled
from afresh.assets.planner.content import Content, Gone
from afresh.storage.ledger.commit import Update


def settle_rows(move: Settled, now: float) -> list[Update]:
    """The rows of a unit that is at a version that it was at before, or deleted."""
    updates = []
    for asset, state in zip(move.node.plan.assets, move.states, strict=True):
        if state is Gone.HELD or state is Gone.ABSENT:
            continue
        version = state.version if isinstance(state, Content) else None
        unit: dict[str, Any] = {
            "asset": asset,
            "partition": move.node.key,
            "epoch": move.epoch,
            "deleted": version is None,
            "updated_at": now,
        }
        if version is not None:
            unit |= {"version": version, "run_key": move.run_key, "failed_run": None}
        valid = {
            "asset": asset,
            "partition": move.node.key,
            "epoch": move.epoch,
            "version": version,
            "run": None,
        }
        updates += [
            Update("upsert", "unit", [unit]),
            Update("upsert", "validity", [valid]),
            Update("delete", "failure", [{"asset": asset, "partition": move.node.key}]),
        ]
    return updates
