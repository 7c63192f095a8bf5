"""The rows of `outgoing`: what waits for each target, and letting go of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from afresh.assets.errors import UsageError
from afresh.assets.nearest import did_you_mean
from afresh.daemon.api.times import iso
from afresh.daemon.api.view import Controls, View
from afresh.daemon.outgoing.load import target_name

_WAITING = "SELECT target, COUNT(*), MIN(at) FROM outgoing GROUP BY target"
_ERRORS = "SELECT subject, detail FROM alert WHERE subject LIKE 'outgoing %'"
REMOVED = "no [[outgoing]] has this name by now"

Read = Callable[..., Sequence[Any]]


async def outgoing(view: View, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say what waits for each target, those that are in the settings no more too."""
    rows = waiting_rows(view.settings.outgoing, view.reader.rows)
    return [{key: value for key, value in row.items() if key != "at"} for row in rows]


def waiting_rows(tables: Sequence[Mapping[str, Any]], read: Read) -> list[dict[str, Any]]:
    """One row a target: how many events wait, since when, and why."""
    kinds = {target_name(table): str(table["kind"]) for table in tables}
    waiting = {target: (count, at) for target, count, at in read(_WAITING, {})}
    errors = {subject.removeprefix("outgoing "): detail for subject, detail in read(_ERRORS, {})}
    rows = []
    for name in sorted(kinds.keys() | waiting.keys()):
        count, at = waiting.get(name, (0, None))
        removed = name not in kinds
        rows.append(
            {
                "target": name,
                "kind": kinds.get(name),
                "state": "removed" if removed else "failed" if name in errors else "ok",
                "waiting": count,
                "since": iso(at),
                "at": at,
                "error": REMOVED if removed else errors.get(name),
            }
        )
    return rows


async def drop(view: View, controls: Controls, params: Mapping[str, Any]) -> dict[str, Any]:
    """Let go of what waits for a target: it is told of none of it."""
    name = str(params["target"])
    names = [row["target"] for row in waiting_rows(view.settings.outgoing, view.reader.rows)]
    if name not in names:
        raise UsageError(
            f"Expected a target of events, found {name!r}",
            hint=did_you_mean(name, names, "afresh outgoing lists them"),
        )
    count = await controls.drop_outgoing(params["request"], name)
    return {"target": name, "dropped": count}
