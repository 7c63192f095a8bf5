"""A file a day, and an aggregate over all of them."""

from flights_work import Flight, Total, totals
from pandera.typing import DataFrame

from afresh import asset, source
from afresh.sensors import files

flights = source("flights", files("landing/{day}.csv"), schema=Flight)


@asset
def total(flights: DataFrame[Flight]) -> DataFrame[Total]:
    return totals(flights)  # type: ignore[return-value]  # afresh validates it
