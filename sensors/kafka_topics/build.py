"""Builds the sensor of a Kafka source: its client is loaded when there is such a source."""

from afresh.assets.errors import SensorError
from afresh.sensors.base import Sensor, SensorContext
from afresh.sensors.kafka_topics.settings import Pace


def build(context: SensorContext) -> Sensor:
    """Build it. Raises SensorError where the client is not installed."""
    try:
        # Lazy: an extra that not everybody has.
        from afresh.sensors.kafka_topics.sensor import KafkaSensor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "aiokafka":
            raise
        raise SensorError(
            "Expected aiokafka to be installed, found no such distribution",
            hint="pip install 'afresh[kafka]'",
        ) from error
    return KafkaSensor(context, Pace())
