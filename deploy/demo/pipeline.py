"""Flights that left New York City in 2013: how late they were, whose, where to, in which weather.

    flights ─── flown ─┬─ delays_by_carrier ─┬─ carrier_ranking ─┐
                       │        airlines ────┘                   │
                       ├─ delays_by_carrier ─── worst_days ──────┤
                       ├─ delays_by_airport ─┬─ airport_summary ─┼─ report
                       │        airports ────┘                   │
    weather ───────────┼─ flown_in_weather ──── delay_by_wind ───┘
    planes ────────────┴─ delays_by_maker ───── fleet_summary

Left of the summaries everything is by day: a file that arrives touches its own day alone.
"""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame

from afresh import Context, asset, source
from afresh.sensors import files

NEW_YORK = ["EWR", "JFK", "LGA"]
LATE_MINUTES = 15


# What arrives. `strict = "filter"` keeps the columns that are named here and drops the others.


class Flight(pa.DataFrameModel):
    """One scheduled departure. A cancelled flight has no delay."""

    date: str = pa.Field(str_matches=r"^2013-\d\d-\d\d$")
    carrier: str = pa.Field(str_length={"min_value": 2, "max_value": 2})
    flight: int = pa.Field(ge=1)
    tailnum: str = pa.Field(nullable=True)
    origin: str = pa.Field(isin=NEW_YORK)
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3})
    dep_delay: float = pa.Field(nullable=True, ge=-60, le=24 * 60)
    arr_delay: float = pa.Field(nullable=True)
    distance: int = pa.Field(gt=0)
    time_hour: str

    class Config:
        strict = "filter"


class Weather(pa.DataFrameModel):
    """One hour at one airport: Fahrenheit, miles an hour, inches, miles."""

    date: str
    origin: str = pa.Field(isin=NEW_YORK)
    time_hour: str
    temp: float = pa.Field(nullable=True)
    wind_speed: float = pa.Field(nullable=True, ge=0)
    precip: float = pa.Field(ge=0)
    visib: float = pa.Field(ge=0, le=10)

    class Config:
        strict = "filter"
        unique = ["origin", "time_hour"]


class Airline(pa.DataFrameModel):
    """A carrier's code and name."""

    carrier: str = pa.Field(unique=True)
    name: str


class Airport(pa.DataFrameModel):
    """An airport, by its FAA code."""

    faa: str = pa.Field(unique=True)
    name: str
    lat: float = pa.Field(ge=-90, le=90)
    lon: float = pa.Field(ge=-180, le=180)

    class Config:
        strict = "filter"


class Plane(pa.DataFrameModel):
    """A plane, by its tail number."""

    tailnum: str = pa.Field(unique=True)
    manufacturer: str
    seats: int = pa.Field(gt=0)

    class Config:
        strict = "filter"


flights = source(
    "flights",
    files("landing/flights/{date}.csv", key_columns=True),
    schema=Flight,
    owner="operations",
    description="Departures of one day",
)
weather = source(
    "weather",
    files("landing/weather/{date}.csv", key_columns=True),
    schema=Weather,
    description="Hourly weather of one day",
)
airlines = source("airlines", files("landing/airlines.csv"), schema=Airline)
airports = source("airports", files("landing/airports.csv"), schema=Airport)
planes = source("planes", files("landing/planes.csv"), schema=Plane)


# What is made of it, day by day.


class Flown(pa.DataFrameModel):
    """A flight that left."""

    date: str
    carrier: str
    tailnum: str = pa.Field(nullable=True)
    origin: str
    dest: str
    dep_delay: float
    late: bool
    time_hour: str


class Delay(pa.DataFrameModel):
    """How late the flights of one day and one group were."""

    date: str
    flights: int = pa.Field(gt=0)
    late: int = pa.Field(ge=0)
    delay_minutes: float


class CarrierDelay(Delay):
    """Of one carrier."""

    carrier: str = pa.Field(unique=True)


class AirportDelay(Delay):
    """To one destination."""

    dest: str = pa.Field(unique=True)


class MakerDelay(Delay):
    """With the planes of one manufacturer."""

    manufacturer: str = pa.Field(unique=True)


class FlownInWeather(pa.DataFrameModel):
    """A flight that left, and the weather at its airport in its hour."""

    date: str
    origin: str
    dep_delay: float
    late: bool
    wind_speed: float = pa.Field(nullable=True)
    precip: float = pa.Field(nullable=True)
    visib: float = pa.Field(nullable=True)


def summed(flown: pd.DataFrame, by: str) -> pd.DataFrame:
    """Flights, late flights and minutes of delay, a group."""
    groups = flown.groupby(["date", by], as_index=False, sort=True)
    return groups.agg(
        flights=("late", "size"), late=("late", "sum"), delay_minutes=("dep_delay", "sum")
    )


@asset(partitions="flights", group="daily", owner="operations")
def flown(flights: DataFrame[Flight], context: Context) -> DataFrame[Flown]:
    """Flights that left, and whether they were late."""
    left = flights[flights["dep_delay"].notna()]
    context.add_metadata(cancelled=len(flights) - len(left))
    left = left.assign(late=left["dep_delay"] > LATE_MINUTES)
    return left[list(Flown.to_schema().columns)].reset_index(drop=True)


@asset(partitions="flown", group="daily")
def delays_by_carrier(flown: DataFrame[Flown]) -> DataFrame[CarrierDelay]:
    """One day's delays by carrier."""
    return summed(flown, "carrier")


@asset(partitions="flown", group="daily")
def delays_by_airport(flown: DataFrame[Flown]) -> DataFrame[AirportDelay]:
    """One day's delays by destination."""
    return summed(flown, "dest")


@asset(partitions="flown", group="daily")
def delays_by_maker(flown: DataFrame[Flown], planes: DataFrame[Plane]) -> DataFrame[MakerDelay]:
    """One day's delays by who built the plane."""
    return summed(flown.merge(planes, on="tailnum"), "manufacturer")


@asset(partitions=("flown", "weather"), group="daily")
def flown_in_weather(
    flown: DataFrame[Flown], weather: DataFrame[Weather]
) -> DataFrame[FlownInWeather]:
    """One day's flights, each with the weather in which it left."""
    joined = flown.merge(
        weather.drop(columns="date"), on=["origin", "time_hour"], how="left", validate="m:1"
    )
    return joined[list(FlownInWeather.to_schema().columns)]


# And over all days.


class Ranked(pa.DataFrameModel):
    """One group over all days."""

    flights: int = pa.Field(gt=0)
    mean_delay: float
    late_share: float = pa.Field(ge=0, le=1)


class CarrierRank(Ranked):
    """One carrier, the least delayed first."""

    rank: int = pa.Field(ge=1)
    carrier: str = pa.Field(unique=True)
    name: str


class AirportRank(Ranked):
    """One destination and where it is."""

    dest: str = pa.Field(unique=True)
    name: str
    lat: float
    lon: float


class MakerRank(Ranked):
    """One manufacturer."""

    manufacturer: str = pa.Field(unique=True)


class WindRank(Ranked):
    """Departures in one range of wind."""

    wind: str = pa.Field(unique=True)


class Day(Ranked):
    """One day."""

    date: str = pa.Field(unique=True)


class Line(pa.DataFrameModel):
    """One line of the report."""

    question: str = pa.Field(unique=True)
    answer: str


def averaged(daily: pd.DataFrame, by: str) -> pd.DataFrame:
    """Means over days, weighted by flights."""
    total = daily.groupby(by, as_index=False, sort=True)[["flights", "late", "delay_minutes"]].sum()
    total["mean_delay"] = total["delay_minutes"] / total["flights"]
    total["late_share"] = total["late"] / total["flights"]
    return total.drop(columns=["late", "delay_minutes"])


@asset(group="summary", owner="operations")
def carrier_ranking(
    delays_by_carrier: DataFrame[CarrierDelay], airlines: DataFrame[Airline]
) -> DataFrame[CarrierRank]:
    """Carriers by mean delay."""
    ranked = averaged(delays_by_carrier, "carrier").merge(airlines, on="carrier")
    ranked = ranked.sort_values("mean_delay", ignore_index=True)
    return ranked.assign(rank=range(1, len(ranked) + 1))


@asset(group="summary")
def worst_days(delays_by_carrier: DataFrame[CarrierDelay]) -> DataFrame[Day]:
    """The ten days with the most delay a flight."""
    days = averaged(delays_by_carrier, "date")
    return days.nlargest(10, "mean_delay").reset_index(drop=True)


@asset(group="summary")
def airport_summary(
    delays_by_airport: DataFrame[AirportDelay], airports: DataFrame[Airport]
) -> DataFrame[AirportRank]:
    """Destinations, with name and place."""
    total = averaged(delays_by_airport, "dest")
    return total.merge(airports, left_on="dest", right_on="faa").drop(columns="faa")


@asset(group="summary")
def fleet_summary(delays_by_maker: DataFrame[MakerDelay]) -> DataFrame[MakerRank]:
    """Delays by who built the plane."""
    return averaged(delays_by_maker, "manufacturer")


@asset(group="summary")
def delay_by_wind(flown_in_weather: DataFrame[FlownInWeather]) -> DataFrame[WindRank]:
    """Delays by how strong the wind was, in miles an hour."""
    known = flown_in_weather[flown_in_weather["wind_speed"].notna()]
    labels = ["calm, under 5", "5 to 15", "15 to 25", "over 25"]
    wind = pd.cut(known["wind_speed"], [-1, 5, 15, 25, float("inf")], labels=labels).astype(str)
    return averaged(summed(known.assign(wind=wind), "wind"), "wind")


@asset(group="summary", owner="operations")
def report(
    carrier_ranking: DataFrame[CarrierRank],
    airport_summary: DataFrame[AirportRank],
    delay_by_wind: DataFrame[WindRank],
    worst_days: DataFrame[Day],
) -> DataFrame[Line]:
    """A few answers. All that it reads comes from one state of `flown`, whatever the timing."""
    best, worst = carrier_ranking.iloc[0], carrier_ranking.iloc[-1]
    far = airport_summary.nlargest(1, "mean_delay").iloc[0]
    wind = delay_by_wind.nlargest(1, "mean_delay").iloc[0]
    day = worst_days.iloc[0]
    lines = {
        "flights": f"{carrier_ranking['flights'].sum():,}",
        "least delayed carrier": f"{best['name']}, {best['mean_delay']:.1f} min",
        "most delayed carrier": f"{worst['name']}, {worst['mean_delay']:.1f} min",
        "most delayed destination": f"{far['name']}, {far['mean_delay']:.1f} min",
        "worst wind": f"{wind['wind']} mph, {wind['mean_delay']:.1f} min",
        "worst day": f"{day['date']}, {day['mean_delay']:.1f} min",
    }
    return pd.DataFrame({"question": list(lines), "answer": list(lines.values())})
