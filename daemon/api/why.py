"""Why a unit is as it is: stale, blocked, failed, or fresh and made by this run from that event.

The state and its reasons are the planner's; the chain behind them is the ledger's. The answer goes
from the unit down to the first cause: its last entries are events of the journal.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from afresh.assets.errors import UsageError
from afresh.assets.partition import Ref, format_ref, parse_ref
from afresh.assets.planner.view import Reason, State, UnitView
from afresh.daemon.api.history import History
from afresh.daemon.api.listings import error_line
from afresh.daemon.api.names import Unique, one_unit, one_version, parse_known
from afresh.daemon.api.stream_gaps import gaps
from afresh.daemon.api.suspects import findings, suspect_heads
from afresh.daemon.api.verifications import not_deterministic
from afresh.daemon.api.view import Key, View

STATES: tuple[str, ...] = get_args(State)
"""In the order in which they are told."""

_MOST_UNITS = 50
"""Units that a chain names at most; what a thousand units share is said once."""

_BREATH = 500
"""Units between two checkpoints: some milliseconds of work."""

_MOST_NAMED = 5
"""Units of an asset that are explained, or named, at once."""

_LED_BY = frozenset({"input", "blocked", "waiting", "missing", "paused", "failed", "rejected"})
"""Kinds of reasons whose `ref` leads on to another unit."""


async def why(view: View, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `afresh why REF`."""
    ref = parse_known(view, params["ref"])
    if ref.partition is None and ref.version is None:
        units = [key for key in view.planner.units() if key[0] == ref.asset]
        if len(units) > 1:
            return await _why_asset(view, ref.asset, units)
    unit = one_unit(view, ref)
    found = _look(view, unit)
    history = History(view)
    if ref.version not in (None, "latest"):
        unique = one_version(view, ref)
        if found is None or unique.version != found.version:
            _suspicions(view, unique, history)
            history.version(unique)
            state = _version_state(view, unique._asdict())
            return {"ref": unique.ref, "state": state, "because": history.entries()}
    if found is None:
        raise UsageError(
            f"Expected a unit that is declared, found {format_ref(*unit)}",
            hint=f"it is archived: afresh versions {format_ref(*unit)} lists what it had",
        )
    _explain(view, found, history)
    return {
        "ref": format_ref(*unit, found.version),
        "state": found.state,
        "because": gaps(view, unit[0]) + history.entries(),
    }


async def _why_asset(view: View, asset: str, units: Sequence[Key]) -> dict[str, Any]:
    """Answer for units that are not fresh or suspect, the first in the order of states foremost.

    Where all are well, for those that were made last.
    """
    suspect, every = suspect_heads(view), list[UnitView]()
    for number, key in enumerate(units, 1):
        if (unit := _look(view, key)) is not None:
            every.append(unit)
        if number % _BREATH == 0:
            await view.breathe()
    found = [u for u in every if u.state != "fresh" or (u.asset, u.partition) in suspect]
    found.sort(key=lambda unit: STATES.index(unit.state))
    what = "not fresh or suspect"
    if not found:
        found, what = sorted(every, key=lambda unit: -(unit.updated_at or 0.0)), "fresh"
    history = History(view)
    for unit in found[:_MOST_NAMED]:
        history.add(unit.state, format_ref(unit.asset, unit.partition), f"it is {unit.state}")
        _explain(view, unit, history)
    if len(found) > _MOST_NAMED:
        detail = f"{len(found) - _MOST_NAMED} more units are {what}: afresh status {asset}"
        history.add(found[_MOST_NAMED].state, asset, detail)
    state = found[0].state if found else "missing"
    return {"ref": asset, "state": state, "because": history.entries()}


def _explain(view: View, unit: UnitView, history: History) -> None:
    """Say why the unit is in its state, then what it was made from."""
    seen: set[Key] = set()
    waiting = [unit]
    while waiting and len(seen) < _MOST_UNITS:
        at = waiting.pop(0)
        if (at.asset, at.partition) in seen:
            continue
        seen.add((at.asset, at.partition))
        _own_reasons(view, at, history)
        if at.state != "fresh":
            waiting.extend(_behind(view, at.reasons))
    if unit.state == "fresh":
        history.fresh(unit)
    elif unit.version is not None:
        history.last_good(unit)


def _own_reasons(view: View, unit: UnitView, history: History) -> None:
    ref = format_ref(unit.asset, unit.partition, unit.version)
    for reason in unit.reasons:
        history.add(reason.kind, reason.ref or ref, reason.detail, event=reason.event)
        if reason.kind == "deleted":
            history.deletion(unit.asset, unit.partition)
    if differs := not_deterministic(view).get((unit.asset, unit.partition)):
        history.add("not_deterministic", ref, differs.detail, at=differs.at)
    if unit.state == "failed":
        _failure(view, unit, history)
    _suspicions(view, unit, history)


def _suspicions(view: View, of: UnitView | Unique, history: History) -> None:
    """Add what is known against a version since its schema was changed, with failure cases."""
    if of.version is None:
        return
    at = Unique(of.asset, of.partition, of.version)
    for finding in findings(view, at):
        history.add("suspect", at.ref, finding.detail, event=finding.event, at=finding.at)
        history.failing(at.ref, finding.cases, finding.total, "")


def _failure(view: View, unit: UnitView, history: History) -> None:
    """Add the error of the last attempt, its failure cases and the event that it took."""
    rows = view.reader.rows(
        "SELECT run, state, error, cause_event, ended_at FROM run WHERE asset = :asset"
        " AND partition = :partition AND state IN ('failed', 'rejected', 'interrupted')"
        " ORDER BY run DESC LIMIT 1",
        {"asset": unit.asset, "partition": unit.partition},
    )
    for run, state, error, event, at in rows:
        history.add("run", run, f"run {run} {state}: {error_line(error)}", event=event, at=at)
        history.cases(run)
        history.event(event)


def _behind(view: View, reasons: Iterable[Reason]) -> list[UnitView]:
    """Give the units that the reasons lead to."""
    found = []
    for reason in reasons:
        if reason.kind in _LED_BY and reason.ref and (ref := _unit_ref(reason.ref)):
            unit = _look(view, (ref.asset, ref.partition or ""))
            if unit is not None:
                found.append(unit)
    return found


def _unit_ref(text: str) -> Ref | None:
    try:
        return parse_ref(text)
    except UsageError:  # it names a run
        return None


def _look(view: View, unit: Key) -> UnitView | None:
    try:
        return view.planner.look(*unit, view.now())
    except KeyError:
        return None


def _version_state(view: View, unique: Mapping[str, Any]) -> str:
    if findings(view, Unique(**unique)):
        return "suspect"
    ((state,),) = view.reader.rows(
        "SELECT state FROM version WHERE asset = :asset AND partition = :partition"
        " AND version = :version",
        unique,
    )
    return str(state)
