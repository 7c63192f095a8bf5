"""100 trivial assets, ten chains of ten, all stale at once; and 5,000 of them."""

import os
import time
from pathlib import Path

import pandas as pd

from benchmarks.graphs import grid
from benchmarks.report import Row, judged
from support.project import Project, rename_in

ALL_MADE = "select count(*) = ? from unit where asset like 'a%' and version = ?"


def measure(folder: Path) -> list[Row]:
    """Give the rows; the floor calls the functions one by one and writes each result durably."""
    small, large = with_afresh(folder / "100", 10, 10), with_afresh(folder / "5000", 10, 500)
    floor = by_hand(folder / "floor", 100)
    return [
        Row(
            "100 trivial assets, all stale at once, durable",
            f"{small:.2f} s",
            f"{floor:.2f} s (a loop that calls and writes)",
            "≤ 0.6 s",
            judged(small <= 0.6),
        ),
        Row(
            "5,000 of them",
            f"{large:.1f} s",
            f"{60 * small:.1f} s (60 × the 100)",
            f"≤ 60 × ({large / small:.0f} ×)",
            judged(large <= 60 * small),
        ),
    ]


def with_afresh(folder: Path, depth: int, width: int) -> float:
    """Make all once, then time the second time, when the workers are warm."""
    project = Project.make(folder, grid(depth, width))
    seed = folder / "landing" / "seed.csv"
    with project.running():
        rename_in(seed, "n\n1\n")
        project.wait_for(ALL_MADE, depth * width, 1, timeout=300)
        time.sleep(1)
        began = rename_in(seed, "n\n2\n")
        return project.wait_for(ALL_MADE, depth * width, 2, timeout=300) - began


def by_hand(folder: Path, assets: int) -> float:
    """Call a trivial function and write what it gives, as often."""
    folder.mkdir()
    frame = pd.DataFrame({"n": [1]})
    frame.to_parquet(folder / "warm.parquet")
    began = time.monotonic()
    for number in range(assets):
        frame = frame + 1
        with (folder / f"{number}.parquet").open("wb") as file:
            frame.to_parquet(file)
            file.flush()
            os.fsync(file.fileno())
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    return time.monotonic() - began
