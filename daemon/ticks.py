"""Ticks of refresh policies as rows: the event, and what a restart needs to go on from there.

In the table of cursors: `tick:NAME` is up to when the ticks of an asset's schedule are dealt with,
`due:REF` that something let a unit run which has not been settled since, `budget:NAME` what is left
of a source's budget.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, field, json

from afresh.assets.partition import format_ref
from afresh.assets.planner.budgets import Budgets
from afresh.assets.planner.changes import Ticked
from afresh.assets.planner.content import Gone
from afresh.assets.planner.nodes import Node
from afresh.assets.planner.planner import Change
from afresh.assets.planner.policies import Due
from afresh.daemon.journal import Journal
from afresh.storage.ledger.commit import Update

LONGEST_SLEEP_SECONDS = 10.0
TICK = "tick:"
DUE = "due:"
BUDGET = "budget:"


class Reason(Struct, frozen=True):
    """What let a unit run."""

    seq: int
    detail: str
    kind: str


class TickRows(Struct):
    """What ticks become: the commit's updates, the planner's changes, the events' rows."""

    updates: list[Update] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


def tick_rows(dues: Sequence[Due], journal: Journal, epoch: int, now: float) -> TickRows:
    """Record what is due. A tick that lets nothing run is no event, only dealt with."""
    rows = TickRows()
    cursors: list[dict[str, Any]] = []
    for due in dues:
        seq = 0
        if due.keys:
            event = journal.request("tick", due.name, due.detail, now, epoch)
            if len(due.keys) == 1:
                event["partition"] = due.keys[0]
            seq = event["seq"]
            rows.events.append(event)
        if due.until is not None:
            cursors.append({"sensor": TICK + due.name, "value": repr(due.until), "updated_at": now})
        rows.changes.append(Ticked(epoch, seq, due.name, due.keys, due.detail, due.until))
    if rows.events:
        rows.updates.append(Update("insert", "event", rows.events))
    if cursors:
        rows.updates.append(Update("upsert", "cursor", cursors))
    return rows


def released_rows(
    released: Iterable[tuple[Node, Ticked]], fulfilled: Iterable[Node], now: float
) -> list[Update]:
    """Keep what let units run until they are settled: a restart goes on with it."""
    kept = [
        {
            "sensor": _due(node),
            "value": json.encode(Reason(tick.seq, tick.detail, tick.kind)).decode(),
            "updated_at": now,
        }
        for node, tick in released
    ]
    updates = [Update("upsert", "cursor", kept)] if kept else []
    done = list(fulfilled)
    if done:
        updates.append(Update("delete", "cursor", [{"sensor": _due(node)} for node in done]))
    # As of which epoch they have read what they read, though they may be what they were.
    read = [
        {"asset": asset, "partition": node.key, "epoch": node.epoch}
        for node in done
        if Gone.HELD not in (node.history.latest or ())
        for asset in node.plan.assets
    ]
    return [*updates, Update("patch", "unit", read)] if read else updates


def budget_rows(budgets: Budgets, now: float) -> list[Update]:
    """Keep what is left of budgets, in the commit of the readings that took of them."""
    rows = [
        {"sensor": BUDGET + name, "value": f"{left!r} {at!r}", "updated_at": now}
        for name, left, at in budgets.take_spent()
    ]
    return [Update("upsert", "cursor", rows)] if rows else []


def _due(node: Node) -> str:
    return DUE + format_ref(node.plan.name, node.key)
