"""Events of another daemon as arrivals: which are news, and where their data is."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from afresh.sensors.base import Arrival, ObjectIdentity
from afresh.sensors.cloudevents import CloudEvent
from afresh.sensors.depth import ATTRIBUTE, read_depth

COMMITTED = "dev.afresh.version.committed"
DELETED = "dev.afresh.version.deleted"
_identity = msgspec.json.Decoder(ObjectIdentity)


class Stand(NamedTuple):
    """Which state of a unit: of which ledger (when it was begun, ms), as of which epoch.

    A ledger that was begun later is a newer one of the same project.
    """

    ledger: int
    epoch: int


class News(NamedTuple):
    """An event that tells of one of our units."""

    uri: str
    id: str
    stand: Stand
    arrival: Arrival


def read(event: CloudEvent, asset: str, now: float) -> News | None:
    """Read what is told of an asset; None for anything else.

    Raises ValueError, KeyError or TypeError where the event is not what afresh writes.
    """
    kind = event.attributes["type"]
    if kind not in (COMMITTED, DELETED):
        return None
    data = json.loads(event.data or b"null")
    if data["asset"] != asset:
        return None
    key = str(data["partition"])
    uri = f"{event.attributes['source'].removeprefix('/')}/{asset}"
    uri += f"[{key}]" if key else ""
    stand = Stand(int(event.attributes.get("ledger", "0")), int(data["epoch"]))
    if kind == DELETED:
        # Under a name of its own: what is remembered of the unit's last state stays.
        arrival = Arrival(f"{uri}#deleted", "deleted", key, now)
    else:
        arrival = _committed(uri, key, data, stand, now)
        depth = read_depth(event.attributes.get(ATTRIBUTE))
        arrival = msgspec.structs.replace(arrival, depth=depth)
    return News(uri, f"{event.attributes['source']} {event.attributes['id']}", stand, arrival)


def _committed(uri: str, key: str, data: Mapping[str, Any], stand: Stand, now: float) -> Arrival:
    whole = [{"uri": data["uri"], "hash": data["hash"], "skip": 0, "rows": int(data["rows"])}]
    identity = ObjectIdentity(
        str(data["fingerprint"]), f"{stand.ledger}.{stand.epoch}", int(data["bytes"]), now
    )
    position = {
        "ref": data["ref"],
        "identity": msgspec.to_builtins(identity),
        "parts": [
            {
                "uri": str(part["uri"]),
                "hash": str(part["hash"]),
                "skip": int(part["skip"]),
                "rows": int(part["rows"]),
            }
            for part in data.get("parts") or whole
        ],
    }
    return Arrival(uri, "arrived", key, now, identity=identity, position=json.dumps(position))


def stand_of(recorded: str) -> Stand:
    """Give the state of a unit that was recorded last."""
    ledger, _, epoch = _identity.decode(recorded).version.partition(".")
    return Stand(int(ledger), int(epoch))
