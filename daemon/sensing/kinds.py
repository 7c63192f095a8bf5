"""Which class runs a kind of sensor, and what it is given: an entry a kind, or an entry point.

Kinds load when a source of theirs is declared: nobody pays for a client that is not used.
"""

from importlib import import_module

from afresh.assets.errors import UsageError
from afresh.sensors.base import Sensor, SensorContext

ENTRY_POINTS = "afresh.sensors"
"""Others' kinds: each entry is a function that takes a `SensorContext` and gives a `Sensor`."""

_HOMES: dict[str, str] = {
    "custom": "afresh.daemon.sensing.custom:build",
    "bucket": "afresh.sensors.buckets.sensor:build",
    "kafka": "afresh.sensors.kafka_topics.build:build",
    "schedule": "afresh.sensors.schedule_sensor:build",
    "upstream": "afresh.sensors.upstreams.sensor:build",
    "webhook": "afresh.sensors.webhooks.sensor:build",
}
"""Module and function of each kind of ours; sensors of files need the watcher besides."""


def build_sensor(context: SensorContext) -> Sensor:
    """Build the sensor of a source. Raises UsageError for a kind that nobody has."""
    kind = context.source.sensor.kind
    home = _HOMES.get(kind)
    if home is not None:
        module, _, name = home.partition(":")
        sensor: Sensor = getattr(import_module(module), name)(context)
        return sensor
    # Lazy: reading what distributions offer takes 5 MB, and most projects have no other kinds.
    from importlib.metadata import entry_points  # noqa: PLC0415

    for entry in entry_points(group=ENTRY_POINTS, name=kind):
        other: Sensor = entry.load()(context)
        return other
    raise UsageError(
        f"Expected a kind of sensor ({', '.join(['file', *sorted(_HOMES)])}), found {kind!r}",
        hint=f"install what provides it as an entry point of {ENTRY_POINTS!r}",
    )
