"""100 trivial assets, ten chains of ten, all stale at once; and 5,000 of them."""

import os
import time
from pathlib import Path
from statistics import median

import pandas as pd

from benchmarks.graphs import grid
from benchmarks.report import Row, judged
from support.project import Project, rename_in

ALL_MADE = "select count(*) = ? from unit where asset like 'a%' and version = ?"


def measure(folder: Path) -> list[Row]:
    """Give the rows; the floor calls the functions one by one and writes each result durably."""
    # The 100 before and after: both sizes meet the same machine, and one sample decides nothing.
    few = with_afresh(folder / "100", 10, 10, times=5)
    large = median(with_afresh(folder / "5000", 10, 500, times=2))
    small = median(few + with_afresh(folder / "100 again", 10, 10, times=5))
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


def with_afresh(folder: Path, depth: int, width: int, times: int) -> list[float]:
    """Make all once, then time how long each next time takes, when the workers are warm."""
    seconds = []
    project = Project.make(folder, grid(depth, width))
    seed = folder / "landing" / "seed.csv"
    with project.running():
        rename_in(seed, "n\n1\n")
        project.wait_for(ALL_MADE, depth * width, 1, timeout=300)
        for version in range(2, 2 + times):
            time.sleep(1)
            began = rename_in(seed, f"n\n{version}\n")
            seconds.append(project.wait_for(ALL_MADE, depth * width, version, timeout=300) - began)
    return seconds


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
