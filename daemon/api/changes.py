"""What changes something: materialize, wait, cancel, pause, resume, sensors, stop."""

from collections.abc import Mapping, Sequence
from typing import Any

from afresh.assets.errors import UsageError
from afresh.assets.nearest import did_you_mean
from afresh.assets.partition import format_ref
from afresh.daemon.api.files_again import read_again
from afresh.daemon.api.selection import WHOLE, chosen, wanted
from afresh.daemon.api.status import outcome
from afresh.daemon.api.view import Controls, Key, View


async def materialize(view: View, controls: Controls, params: Mapping[str, Any]) -> Any:
    """Bring a selection up to date, failed units too; answer when that has come to an end."""
    # What it needs may lie there unseen: `now` includes it.
    await controls.scan("")
    asked = await wanted(view, params["selection"], params.get("partitions"))
    covered = await controls.materialize(params["request"], asked, force=bool(params.get("force")))
    if params.get("force"):
        await read_again(view, controls, params, covered)
    await controls.wait(covered, params.get("timeout"))
    # Units may have come to be meanwhile.
    asked_now = await wanted(view, params["selection"], params.get("partitions"))
    keys = dict.fromkeys([*covered, *(key for key in asked_now if key[1] != WHOLE)])
    return [row for key in keys if (row := _made(view, key))]


def _made(view: View, key: Key) -> dict[str, Any] | None:
    """Make a row of `materialize`; the run is the unit's last."""
    asset, partition = key
    try:
        unit = view.planner.look(asset, partition, view.now())
    except KeyError:
        return None
    rows = view.reader.rows(
        "SELECT run FROM run WHERE asset = :asset AND partition = :partition"
        " ORDER BY run DESC LIMIT 1",
        {"asset": asset, "partition": partition},
    )
    return {
        "asset": asset,
        "partition": partition,
        "version": unit.version,
        "run": rows[0][0] if rows else None,
        "state": unit.state,
    }


async def wait(view: View, controls: Controls, params: Mapping[str, Any]) -> dict[str, Any]:
    """Scan, then wait until all that had arrived is settled, or the time is over."""
    left = await controls.scan_all(params.get("timeout"))
    text = params.get("selection")
    units = await _known_by_now(view, text) if text else None
    in_time = left != 0 and await controls.wait(units, left)
    if units is None and not in_time:
        return {"settled": False, **await outcome(view, None)}
    ended = await outcome(view, await chosen(view, text) if text else None)
    return {"settled": in_time, **ended}


async def _known_by_now(view: View, text: str) -> list[Key] | None:
    """Units that a selection covers; None where it names one that may yet come of an arrival."""
    try:
        return await wanted(view, text, None)
    except UsageError:
        if "[" not in text:
            raise
        return None


async def cancel(_view: View, controls: Controls, params: Mapping[str, Any]) -> dict[str, Any]:
    """End a run."""
    run = params["run"]
    if not await controls.cancel(params["request"], run):
        raise UsageError(
            f"Expected a run that is queued or under way, found {run!r}",
            hint="afresh runs lists them",
        )
    return {"run": run, "state": "cancelled"}


async def pause(view: View, controls: Controls, params: Mapping[str, Any]) -> dict[str, Any]:
    """Stop the automation of assets."""
    units = await wanted(view, params["selection"], None)
    await controls.pause(params["request"], "asset", units)
    return {"paused": _names(units)}


async def resume(view: View, controls: Controls, params: Mapping[str, Any]) -> dict[str, Any]:
    """Start the automation of assets again."""
    units = await wanted(view, params["selection"], None)
    await controls.resume(params["request"], "asset", units)
    return {"resumed": _names(units)}


def _names(units: Sequence[Key]) -> list[str]:
    return [format_ref(asset, "" if key == WHOLE else key) for asset, key in units]


async def sensor_pause(view: View, controls: Controls, params: Mapping[str, Any]) -> Any:
    """Pause a sensor."""
    name = _sensor(view, params["sensor"])
    await controls.pause(params["request"], "sensor", [(name, "")])
    return {"paused": [name]}


async def sensor_resume(view: View, controls: Controls, params: Mapping[str, Any]) -> Any:
    """Let a sensor go on."""
    name = _sensor(view, params["sensor"])
    await controls.resume(params["request"], "sensor", [(name, "")])
    return {"resumed": [name]}


async def sensor_scan(view: View, controls: Controls, params: Mapping[str, Any]) -> Any:
    """Let a sensor look at everything now."""
    name = _sensor(view, params["sensor"])
    count = await controls.scan(name, accept=bool(params.get("accept")))
    return {"sensor": name, "arrivals": count}


async def sensor_reset(view: View, controls: Controls, params: Mapping[str, Any]) -> Any:
    """Let a sensor forget where it was."""
    name = _sensor(view, params["sensor"])
    await controls.reset(params["request"], name)
    return {"reset": [name]}


def _sensor(view: View, name: str) -> str:
    names = [str(row["sensor"]) for row in view.sensors()]
    if name in names:
        return name
    raise UsageError(
        f"Expected the name of a sensor, found {name!r}",
        hint=did_you_mean(name, names, "afresh sensors lists them"),
    )


async def stop(_view: View, controls: Controls, _params: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the daemon to stop."""
    await controls.stop()
    return {"stopping": True}
