"""How the units are: the rows of `status`, its summary, and what `plan` foresees."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from afresh.assets.partition import format_ref, parse_ref
from afresh.assets.planner.view import UnitView
from afresh.daemon.api.names import kinds, unknown
from afresh.daemon.api.selection import chosen
from afresh.daemon.api.suspects import marked, suspect_heads
from afresh.daemon.api.times import iso
from afresh.daemon.api.verifications import not_deterministic
from afresh.daemon.api.view import Key, View
from afresh.storage.ledger import queries

_BREATH = 500
"""Units between two checkpoints: some milliseconds of work."""

_POLICIES = frozenset({"code", "deleted", "degraded", "suspect"})
"""Why a fresh unit may be left behind: named in `reasons` by this one word."""

_RECENT_RUNS = 20


async def look_at(view: View, text: str | None) -> list[UnitView]:
    """Look at each unit that a selection covers, in the order of the graph."""
    now, found, suspect = view.now(), list[UnitView](), suspect_heads(view)
    for i, (asset, partition) in enumerate(await chosen(view, text)):
        if i % _BREATH == _BREATH - 1:
            await view.breathe()
        try:
            found.append(marked(view.planner.look(asset, partition, now), suspect))
        except KeyError:  # it went while we took a breath
            continue
    return found


async def status(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say how each unit is."""
    rows = [status_row(unit) for unit in await look_at(view, params.get("selection"))]
    if marked := not_deterministic(view):
        for row in rows:
            if found := marked.get((row["asset"], row["partition"])):
                row["reasons"].append(f"not_deterministic: {found.detail}")
    return _page(view, rows, params)


async def summary(view: View, params: Mapping[str, Any]) -> dict[str, Any]:
    """Count the units by state."""
    counts = Counter(unit.state for unit in await look_at(view, params.get("selection")))
    return dict(counts.most_common())


async def table(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line an asset, with counts: what `status` shows to people."""
    lines: dict[str, dict[str, Any]] = {}
    kind = kinds(view.manifest)
    if not params.get("selection"):
        # An asset that has no unit yet is shown all the same.
        lines = {name: _line(name, kind.get(name, "asset")) for name in view.planner.assets()}
    for unit in await look_at(view, params.get("selection")):
        line = lines.setdefault(unit.asset, _line(unit.asset, unit.kind))
        line["units"] += 1
        line["states"][unit.state] = line["states"].get(unit.state, 0) + 1
        line["partitioned"] |= bool(unit.partition)
        line["epoch"] = max(line["epoch"], unit.epoch)
        line["version"] = unit.version
        line["updated_at"] = max(line["updated_at"] or "", iso(unit.updated_at) or "") or None
        if unit.reasons and _worse(unit.state, line["worst"]):
            line["worst"], line["reason"] = unit.state, _reason(unit)[0]
    return list(lines.values())


def _line(asset: str, kind: str) -> dict[str, Any]:
    return {
        "asset": asset,
        "kind": kind,
        "units": 0,
        "states": {},
        "partitioned": False,
        "version": None,
        "epoch": 0,
        "updated_at": None,
        "worst": "",
        "reason": "",
    }


_WORST = ("", "fresh", "missing", "paused", "held", "stale", "running", "blocked", "failed")


def _worse(state: str, than: str) -> bool:
    return _WORST.index(state) > _WORST.index(than)


def status_row(unit: UnitView) -> dict[str, Any]:
    """Make a row of `status`."""
    return {
        "asset": unit.asset,
        "partition": unit.partition,
        "state": unit.state,
        "version": unit.version,
        "epoch": unit.epoch,
        "updated_at": iso(unit.updated_at),
        "reasons": _reason(unit),
    }


def _reason(unit: UnitView) -> list[str]:
    """Write each reason as one line; why a fresh unit is left behind is the policy's name alone."""
    lines = []
    for reason in unit.reasons:
        if unit.state == "fresh" and reason.kind in _POLICIES:
            lines.append(reason.kind)
        else:
            lines.append(f"{reason.kind}: {reason.detail}" if reason.detail else reason.kind)
    return lines


async def plan(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say what would run and why; `est_seconds` is the mean of the asset's last runs, or null."""
    estimates: dict[str, float | None] = {}
    rows = []
    for unit in await look_at(view, params.get("selection")):
        if unit.state not in ("stale", "running"):
            continue
        if unit.asset not in estimates:
            estimates[unit.asset] = _estimate(view, unit.asset)
        rows.append(
            {
                "asset": unit.asset,
                "partition": unit.partition,
                "action": "will" if unit.will_run or unit.state == "running" else "if_changed",
                "reasons": _reason(unit),
                "est_seconds": estimates[unit.asset],
            }
        )
    return rows


def _estimate(view: View, asset: str) -> float | None:
    rows = view.reader.rows(queries.LAST_SECONDS, {"asset": asset, "limit": _RECENT_RUNS})
    return round(sum(max(0.0, took) for (took,) in rows) / len(rows), 6) if rows else None


async def outcome(view: View, units: list[Key] | None) -> dict[str, Any]:
    """Say what waiting came to: refs of what failed and what is blocked, by unit."""
    failed, blocked = [], []
    for unit in await look_at(view, None) if units is None else _looks(view, units):
        if unit.state == "failed":
            failed.append(format_ref(unit.asset, unit.partition))
        elif unit.state == "blocked":
            blocked.append(format_ref(unit.asset, unit.partition))
    return {"failed": failed, "blocked": blocked}


def _looks(view: View, units: list[Key]) -> list[UnitView]:
    found = []
    for asset, partition in units:
        try:
            found.append(view.planner.look(asset, partition, view.now()))
        except KeyError:
            continue
    return found


def _page(
    view: View, rows: list[dict[str, Any]], params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Cut a page out of rows in graph order; the cursor is the ref of a unit.

    It need not be covered any more by a selection that asks for a state: its place is what counts.
    """
    if after := params.get("after"):
        ref = parse_ref(after)
        places = {asset: place for place, asset in enumerate(view.planner.assets())}
        if ref.asset not in places:
            raise unknown(ref.asset, list(places))
        last = places[ref.asset], ref.partition or ""
        rows = [row for row in rows if (places.get(row["asset"], -1), row["partition"]) > last]
    return rows[: params.get("limit")]
