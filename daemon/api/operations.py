"""All that can be asked of a project, by name: for the local socket, and for reading offline.

An operation is one small coroutine over a `View`, or over `View` and `Controls` where it changes
something.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from afresh.assets.errors import UsageError
from afresh.daemon.api import (
    by_hand,
    changes,
    lineage,
    listings,
    outgoing,
    rejected,
    sensors,
    status,
    why,
)
from afresh.daemon.api.view import Controls, View

Params = Mapping[str, Any]


class Operation(NamedTuple):
    """One operation: `read` or `change`, the other is None."""

    read: Callable[[View, Params], Awaitable[Any]] | None = None
    change: Callable[[View, Controls, Params], Awaitable[Any]] | None = None


OPERATIONS: dict[str, Operation] = {
    "status": Operation(status.status),
    "summary": Operation(status.summary),
    "table": Operation(status.table),
    "plan": Operation(status.plan),
    "why": Operation(why.why),
    "sensors": Operation(sensors.sensors),
    "versions": Operation(listings.versions),
    "readable": Operation(listings.readable),
    "runs": Operation(listings.runs),
    "log": Operation(listings.log),
    "events": Operation(listings.events),
    "lineage": Operation(lineage.lineage),
    "materialize": Operation(change=changes.materialize),
    "wait": Operation(change=changes.wait),
    "cancel": Operation(change=changes.cancel),
    "pause": Operation(change=changes.pause),
    "resume": Operation(change=changes.resume),
    "sensor_pause": Operation(change=changes.sensor_pause),
    "sensor_resume": Operation(change=changes.sensor_resume),
    "sensor_scan": Operation(change=changes.sensor_scan),
    "sensor_reset": Operation(change=changes.sensor_reset),
    "emit": Operation(change=by_hand.emit),
    "replay": Operation(change=by_hand.replay),
    "rejected": Operation(rejected.rejected),
    "replay_letters": Operation(change=rejected.replay_letters),
    "outgoing": Operation(outgoing.outgoing),
    "outgoing_drop": Operation(change=outgoing.drop),
    "stop": Operation(change=changes.stop),
}


async def perform(view: View, controls: Controls | None, op: str, params: Params) -> Any:
    """Do one operation; the answer is plain data for JSON. Raises AfreshError, UsageError first."""
    operation = OPERATIONS.get(op)
    if operation is None:
        raise UsageError(
            f"Expected an operation of this release, found {op!r}",
            hint="the command and the daemon are of different releases: restart the daemon",
        )
    if operation.read is not None:
        return await operation.read(view, params)
    if controls is None or operation.change is None:
        raise UsageError(f"Expected a daemon for {op!r}, found none", hint="afresh up starts it")
    return await operation.change(view, controls, params)
