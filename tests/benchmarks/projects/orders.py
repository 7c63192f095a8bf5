"""Orders from Kafka, and two readers of what is new, one after the other."""

import os

import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame

from afresh import asset, source
from afresh.sensors import kafka


class Order(pa.DataFrameModel):
    id: int
    item: str
    price: float
    note: str
    partition: int
    offset: int


class Priced(pa.DataFrameModel):
    id: int
    gross: float


orders = source(
    "orders",
    kafka("orders", servers=os.environ["ORDERS_SERVERS"], columns=("partition", "offset")),
    schema=Order,
)


@asset(new="orders")
def priced(orders: DataFrame[Order]) -> DataFrame[Priced]:
    return pd.DataFrame({"id": orders["id"], "gross": orders["price"] * 1.19})  # type: ignore[return-value]  # afresh validates it
