"""A file is renamed in: how long until its source and its own-partition asset are committed?"""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.flights_data import days
from benchmarks.report import Row, judged, ms, percentiles
from support.project import Project, rename_in

HERE = Path(__file__).parent
WARM, MEASURED, PAUSE_SECONDS = 12, 60, 0.12
COMMITTED = (
    "select exists (select 1 from version where asset = 'delays_by_carrier' and partition = ?)"
)


def measure(folder: Path) -> list[Row]:
    """Give the row; the floor is measured before and after, and both count."""
    floor = by_hand(folder / "before")
    ours = with_afresh(folder / "afresh")
    floor += by_hand(folder / "after")
    (floor50, floor95), (ours50, ours95) = percentiles(floor), percentiles(ours)
    return [
        Row(
            "arrival → source and asset committed, p50",
            ms(ours50),
            ms(floor50),
            f"≤ 2 × ({ours50 / floor50:.2f} ×)",
            judged(ours50 <= 2 * floor50),
        ),
        Row(
            "the same, p95",
            ms(ours95),
            ms(floor95),
            f"≤ 2 × p50 ({ours95 / ours50:.2f} ×)",
            judged(ours95 <= 2 * ours50),
        ),
    ]


def with_afresh(folder: Path) -> list[float]:
    """Time each file through a warm daemon."""
    project = Project.make(folder, (HERE / "projects/flights_by_day.py").read_text())
    (folder / "flights_work.py").write_text((HERE / "projects/flights_work.py").read_text())
    seconds = []
    with project.running():
        for number, content in enumerate(days()[: WARM + MEASURED]):
            name = f"d{number:03}"
            began = rename_in(folder / "landing" / f"{name}.csv", content)
            seconds.append(project.wait_for(COMMITTED, name) - began)
            time.sleep(PAUSE_SECONDS)
    return seconds[WARM:]


def by_hand(folder: Path) -> list[float]:
    """Time each file through the hand-written script."""
    landing, out = folder / "landing", folder / "out"
    landing.mkdir(parents=True)
    out.mkdir()
    seconds = []
    script = subprocess.Popen(
        [sys.executable, HERE / "script.py", "watch", landing, out],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert script.stdout is not None
        assert script.stdout.readline() == "ready\n"
        for number, content in enumerate(days()[: WARM + MEASURED // 2]):
            began = rename_in(landing / f"d{number:03}.csv", content)
            name, ended = script.stdout.readline().split()
            assert name == f"d{number:03}"
            seconds.append(float(ended) - began)
            time.sleep(PAUSE_SECONDS)
    finally:
        script.kill()
        script.communicate()
    return seconds[WARM:]
