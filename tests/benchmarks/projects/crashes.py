"""Small files that arrive while the daemon is killed: sums by day, and the total over all days."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame

from afresh import asset, source
from afresh.sensors import files


class Sale(pa.DataFrameModel):
    shop: str
    amount: int = pa.Field(ge=0)


sales = source("sales", files("landing/{day}.csv"), schema=Sale)


@asset(partitions="sales")
def sums(sales: DataFrame[Sale]) -> pd.DataFrame:
    return sales.groupby("shop", as_index=False).agg(amount=("amount", "sum"))


@asset
def total(sums: pd.DataFrame) -> pd.DataFrame:
    return sums.groupby("shop", as_index=False).agg(amount=("amount", "sum"))
