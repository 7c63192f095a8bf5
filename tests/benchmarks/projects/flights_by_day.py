"""A file a day, and what its own partition gives."""

from flights_work import CarrierDelay, Flight, delays
from pandera.typing import DataFrame

from afresh import asset, source
from afresh.sensors import files

flights = source("flights", files("landing/{day}.csv"), schema=Flight)


@asset(partitions="flights")
def delays_by_carrier(flights: DataFrame[Flight]) -> DataFrame[CarrierDelay]:
    return delays(flights)  # type: ignore[return-value]  # afresh validates it
