"""`afresh init`: a small project that works."""

from pathlib import Path
from shlex import quote

import click

from afresh.assets.errors import UsageError
from afresh.daemon.cli.call import Call, command
from afresh.daemon.cli.output import say
from afresh.daemon.config import PYPROJECT, has_settings

_SETTINGS = """\
# The settings of this project.
definitions = ["pipeline"]      # modules beside this file
# state = ".afresh"             # the ledger, artifacts and logs
# workers = 2                   # processes; the number of processors unless set

[parameters.delays_by_carrier]
min_flights = 1
"""

_PIPELINE = '''\
"""Flights arrive as daily files; what follows from them is kept up to date."""

import pandera.pandas as pa
from pandera.typing import DataFrame

from afresh import asset, source
from afresh.sensors import files


class Flight(pa.DataFrameModel):
    carrier: str = pa.Field(str_length={"min_value": 2, "max_value": 2})
    origin: str
    dep_delay: float = pa.Field(nullable=True)


class CarrierDelay(pa.DataFrameModel):
    carrier: str = pa.Field(unique=True)
    flights: int = pa.Field(ge=1)
    mean_delay: float = pa.Field(nullable=True)


class DailyDelay(pa.DataFrameModel):
    origin: str = pa.Field(unique=True)
    mean_delay: float = pa.Field(nullable=True)


# A partition for each day: the part of the name in braces.
flights = source("flights", files("landing/{day}.csv"), schema=Flight)


@asset(partitions="flights")
def daily_delays(flights: DataFrame[Flight]) -> DataFrame[DailyDelay]:
    """The mean delay by airport, of each day on its own."""
    return flights.groupby("origin", as_index=False).agg(mean_delay=("dep_delay", "mean"))


@asset
def delays_by_carrier(
    flights: DataFrame[Flight], min_flights: int = 1
) -> DataFrame[CarrierDelay]:
    """The mean delay by carrier, over all days."""
    by_carrier = flights.groupby("carrier", as_index=False).agg(
        flights=("carrier", "size"), mean_delay=("dep_delay", "mean")
    )
    return by_carrier[by_carrier["flights"] >= min_flights].reset_index(drop=True)
'''

_SAMPLES = {
    "landing/2013-01-01.csv": (
        "carrier,origin,dep_delay\n"
        "UA,EWR,2\nUA,LGA,4\nAA,JFK,2\nB6,JFK,-1\nDL,LGA,-6\nUA,EWR,-4\nB6,EWR,-5\nEV,LGA,\n"
    ),
    "landing/2013-01-02.csv": (
        "carrier,origin,dep_delay\n"
        "B6,JFK,43\nEV,EWR,156\nUA,EWR,-2\nAA,LGA,-3\nDL,JFK,-5\nUA,LGA,12\nMQ,LGA,-8\n"
    ),
}

_IGNORED = ".afresh/\n__pycache__/\n"


@command("init")
@click.argument("folder", metavar="[DIR]", required=False)
def init(call: Call, folder: str | None) -> None:
    """Make a small project that works in DIR: afresh.toml, pipeline.py, landing/."""
    if folder is not None and call.project is not None:
        raise click.UsageError("Expected DIR or --project DIR, found both")
    target = Path(folder or call.project or ".")
    made = {
        "afresh.toml": _SETTINGS,
        "pipeline.py": _PIPELINE,
        ".gitignore": _IGNORED,
        **_SAMPLES,
    }
    there = [name for name in made if (target / name).exists() and name != ".gitignore"]
    if there:
        raise UsageError(
            f"Expected a folder without {there[0]}, found one in {str(target)!r}",
            hint="nothing was written: name another folder, `afresh init DIR`",
            where=str(target / there[0]),
        )
    if has_settings(str(target)):
        raise UsageError(
            f"Expected a folder that is no project, found [tool.afresh] in its {PYPROJECT}",
            hint="nothing was written: name another folder, `afresh init DIR`",
            where=str(target / PYPROJECT),
        )
    try:
        (target / "landing").mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            if not (target / name).exists():
                (target / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"Expected a folder that can be written, found {error.strerror}: {error.filename}",
            hint="name another folder, `afresh init DIR`",
        ) from error
    answer = {"project": str(target.resolve()), "files": sorted(made)}
    call.show(answer, lambda _: _welcome(str(target)))


def _welcome(folder: str) -> None:
    say(f"made a project in {folder}")
    if folder != ".":
        say(f"  cd {quote(folder)}")
    say("  afresh up --until-idle     # bring everything up to date, once")
    say("  afresh status")
    say("  afresh up                  # watch landing/ and react, until stopped")
