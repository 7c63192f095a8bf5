"""Flights as messages: what is new is looked at once, and the answers follow while they come.

    flights ─┬─ late ─── late_by_carrier
             └─ busiest

Flights and late ones are streams: they only grow. The others are made anew of all there is.
"""

import os

import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame

from afresh import asset, source
from afresh.sensors import kafka

LATE_MINUTES = 15


class Flight(pa.DataFrameModel):
    """One departure that took place."""

    time_hour: str
    carrier: str = pa.Field(str_length={"min_value": 2, "max_value": 2})
    flight: int = pa.Field(ge=1)
    origin: str = pa.Field(isin=["EWR", "JFK", "LGA"])
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3})
    dep_delay: float = pa.Field(ge=-60, le=24 * 60)


class Late(Flight):
    """One of those that left late."""

    hours: float = pa.Field(gt=0)


source(
    "flights",
    kafka("flights", servers=os.environ["FLIGHTS_SERVERS"], columns=("partition", "offset")),
    schema=Flight,
)


@asset(new="flights")
def late(flights: DataFrame[Flight]) -> DataFrame[Late]:
    """Look at each flight once: what comes back is appended."""
    chosen = flights[flights["dep_delay"] >= LATE_MINUTES]
    return chosen.assign(hours=chosen["dep_delay"] / 60).reset_index(drop=True)


@asset
def late_by_carrier(late: DataFrame[Late]) -> pd.DataFrame:
    """Count and add up, over all that were late so far."""
    grouped = late.groupby("carrier", as_index=False).agg(
        flights=("flight", "size"), hours=("hours", "sum"), worst=("hours", "max")
    )
    return grouped.round(1).sort_values("hours", ascending=False, ignore_index=True)


@asset
def busiest(flights: DataFrame[Flight]) -> pd.DataFrame:
    """Name the ten destinations with the most departures so far."""
    counted = flights.groupby("dest", as_index=False).agg(flights=("flight", "size"))
    return counted.nlargest(10, "flights", keep="all").reset_index(drop=True)
