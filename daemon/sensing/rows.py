"""A sensor as `afresh sensors` prints it."""

from typing import Any

from afresh.sensors.base import Health, Sensor


def sensor_row(
    sensor: Sensor,
    health: Health,
    *,
    is_paused: bool,
    cursor: str,
    last_event_at: float | None,
    last_error: tuple[float | None, str],
) -> dict[str, Any]:
    """Give its row; `last_error` is when it failed last, and why."""
    return {
        "sensor": sensor.name,
        "kind": sensor.kind,
        "source": sensor.name,
        "state": "paused" if is_paused else health.state,
        "cursor": cursor,
        "lag": health.lag,
        "last_event_at": last_event_at,
        "error": health.error or (health.note if sensor.kind == "file" else ""),
        "hint": health.hint if health.error else "",
        "note": health.note,
        "last_error": last_error[1],
        "last_error_at": last_error[0],
    }
