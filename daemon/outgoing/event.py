"""A committed version as a CloudEvent: what another daemon, or anybody, needs to read it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from afresh.assets.partition import format_ref
from afresh.daemon.api.times import iso
from afresh.sensors.cloudevents import to_json
from afresh.sensors.depth import ATTRIBUTE

COMMITTED = "dev.afresh.version.committed"
DELETED = "dev.afresh.version.deleted"


class Origin(NamedTuple):
    """Who tells: the project's name, and when its ledger was begun, since epochs are of one."""

    name: str
    begun_ms: int


def committed(
    origin: Origin,
    valid: Mapping[str, Any],
    version: Mapping[str, Any],
    parts: Sequence[Mapping[str, Any]],
    depth: int = 0,
) -> str:
    """Write the event of a unit that is at a version from an epoch on.

    `valid` is the row of the ledger that says so, `version` the version's row. Of a stream `parts`
    say in which artifacts its rows are. `depth` is how many runs in a row led to it. The id is the
    same however often it is delivered.
    """
    asset, key, number = valid["asset"], valid["partition"], version["version"]
    ref = format_ref(asset, key, number)
    data = {
        "ref": ref,
        "asset": asset,
        "partition": key,
        "version": number,
        "epoch": valid["epoch"],
        "run": valid["run"] or version["run"],
        "fingerprint": version["fingerprint"],
        "columns": json.loads(version["columns"]),
        "rows": version["rows"],
        "bytes": version["bytes"],
        "uri": version["uri"],
        "hash": version["hash"],
        "schema": version["schema_version"],
        "code_version": version["code_version"],
        "created_at": iso(version["created_at"]),
    }
    if parts:
        data["parts"] = parts
    attributes = _attributes(origin, COMMITTED, ref, valid["epoch"], str(data["run"]))
    if depth:
        attributes[ATTRIBUTE] = str(depth)
    return to_json({**attributes, "time": data["created_at"]}, data).decode()


def deleted(origin: Origin, valid: Mapping[str, Any], now: float) -> str:
    """Write the event of a unit that is deleted from an epoch on."""
    asset, key = valid["asset"], valid["partition"]
    ref = format_ref(asset, key)
    data = {"ref": ref, "asset": asset, "partition": key, "version": None, "epoch": valid["epoch"]}
    attributes = _attributes(origin, DELETED, ref, valid["epoch"], str(valid["run"] or int(now)))
    return to_json({**attributes, "time": iso(now)}, data).decode()


def _attributes(origin: Origin, kind: str, ref: str, epoch: int, run: str) -> dict[str, str]:
    """Of one state of one unit: runs have ids that no other ledger gives."""
    return {
        "id": f"{ref}.{epoch}.{run}",
        "source": f"/afresh/{origin.name}",
        "type": kind,
        "subject": ref,
        "datacontenttype": "application/json",
        "ledger": str(origin.begun_ms),
    }
