"""The rows of `sensors`."""

from collections.abc import Mapping
from typing import Any

from afresh.daemon.api.times import iso
from afresh.daemon.api.view import View

_KEYS = ("sensor", "kind", "source", "state", "cursor", "lag", "last_event_at", "error")


async def sensors(view: View, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say how each sensor is."""
    return [
        {
            **{key: row.get(key) for key in _KEYS},
            "last_event_at": iso(row.get("last_event_at")),
            "error": row.get("error") or None,
            "hint": row.get("hint") or None,
            "note": row.get("note") or None,
            "last_error": row.get("last_error") or None,
            "last_error_at": iso(row.get("last_error_at")),
        }
        for row in view.sensors()
    ]
