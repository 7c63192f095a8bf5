"""A large backlog of a stream is read by pieces: memory goes by the piece, not by the whole."""

from pathlib import Path
from typing import Any

import pytest

from support.living import Living

pytestmark = pytest.mark.e2e

PIPELINE = """
import os
import pandas as pd
from afresh import asset, source
from afresh.sensors import custom

BATCHES, ROWS = 100, 1000


async def texts(cursor):
    while cursor < BATCHES:
        rows = [{"n": cursor * ROWS + i, "s": os.urandom(750).hex()} for i in range(ROWS)]
        yield rows, cursor + 1
        cursor += 1


def peak_megabytes():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024


orders = source("orders", custom(texts, start=0, every="1h"))


@asset(new="orders")
def reading(orders: pd.DataFrame) -> pd.DataFrame:
    made = [{"first": orders.n.min(), "last": orders.n.max(), "rows": len(orders),
             "peak": peak_megabytes()}]
    open("/proc/self/clear_refs", "w").write("5")
    return pd.DataFrame(made)
"""
TOTAL = 100_000
BACKLOG_MEGABYTES = 150


def read(project: Living) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = project.json("read", "reading")
    return rows


def test_memory_goes_by_the_bound(tmp_path: Path) -> None:
    project = Living.make(tmp_path / "p", PIPELINE, 'workers = 1\nnew_bytes = "4MB"\n')
    project.run("pause", "reading")
    project.until_idle()
    project.run("resume", "reading")
    assert project.until_idle().returncode == 0
    bounded = read(project)
    assert [row["first"] for row in bounded] == [0, *(row["last"] + 1 for row in bounded[:-1])]
    assert bounded[-1]["last"] == TOTAL - 1
    assert len(bounded) >= 10
    # The first reading counts what came before it as well.
    peak = max(row["peak"] for row in bounded[1:])
    settings = project.folder / "afresh.toml"
    settings.write_text(settings.read_text().replace("4MB", "1GB"))
    with project.running():
        project.run("materialize", "reading", "--force")
        (whole,) = read(project)
    assert whole["rows"] == TOTAL
    assert whole["peak"] - peak > BACKLOG_MEGABYTES / 2, (peak, whole["peak"])
