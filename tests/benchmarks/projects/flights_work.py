"""What is measured and what the hand-written script calls: the same schemas and functions."""

import pandas as pd
import pandera.pandas as pa


class Flight(pa.DataFrameModel):
    carrier: str = pa.Field(str_length={"min_value": 2, "max_value": 2})
    flight: int = pa.Field(ge=1)
    origin: str = pa.Field(isin=["EWR", "JFK", "LGA"])
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3})
    dep_delay: float = pa.Field(nullable=True)
    arr_delay: float = pa.Field(nullable=True)
    distance: int = pa.Field(gt=0)
    hour: int = pa.Field(ge=0, le=24)


class CarrierDelay(pa.DataFrameModel):
    carrier: str = pa.Field(unique=True)
    flights: int = pa.Field(gt=0)
    mean_delay: float = pa.Field(nullable=True)


class Total(pa.DataFrameModel):
    carrier: str = pa.Field(unique=True)
    flights: int = pa.Field(gt=0)


def delays(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.groupby("carrier", as_index=False).agg(
        flights=("flight", "size"), mean_delay=("dep_delay", "mean")
    )


def totals(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.groupby("carrier", as_index=False).agg(flights=("flight", "size"))
