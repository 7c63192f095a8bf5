"""Modules of definitions as tests write them."""

from collections.abc import Callable

from afresh.daemon.workers.live import Loaded

HEAD = """
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import Context, Partition, asset, source
from afresh.sensors import files

class Flight(pa.DataFrameModel):
    carrier: str
    dep_delay: float = pa.Field(nullable=True)

class Delay(pa.DataFrameModel):
    carrier: str = pa.Field(unique=True)
    mean_delay: float

"""


FLIGHTS = 'flights = source("flights", files("landing/{day}.csv"), schema=Flight)\n'


LINES = HEAD.count("\n")


Load = Callable[..., Loaded]


def only(result: Loaded) -> tuple[str, str, int]:
    """Give the one problem: error, hint, line within what the test wrote."""
    (problem,) = result.manifest.problems
    assert problem.where is not None
    assert problem.where.file == "pipeline.py"
    return problem.error, problem.hint, problem.where.line - LINES
