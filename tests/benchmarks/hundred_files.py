"""100 files at once, until an aggregate over all of them is committed."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.flights_data import days
from benchmarks.report import Row, judged
from support.project import Project, rename_in

HERE = Path(__file__).parent
FILES, HANDFUL = 100, 8
ALL_READ = """
    select (select count(*) from version where asset = 'flights') = ?
       and exists (select 1 from unit where asset = 'total' and epoch >=
                   (select max(epoch) from version where asset = 'flights'))
"""


def measure(folder: Path) -> list[Row]:
    """Give the row; the script does the 100 files and aggregates once at the end."""
    floor = by_hand(folder / "script")
    ours, runs = with_afresh(folder / "afresh")
    return [
        Row(
            "100 files at once → aggregate over all",
            f"{ours:.2f} s, the aggregate ran {runs} times",
            f"{floor:.2f} s",
            f"≤ 1.5 × ({ours / floor:.2f} ×), a handful of runs",
            judged(ours <= 1.5 * floor and runs <= HANDFUL),
        )
    ]


def with_afresh(folder: Path) -> tuple[float, int]:
    """Drop the files into a warm daemon."""
    project = Project.make(folder, (HERE / "projects/flights_in_all.py").read_text())
    (folder / "flights_work.py").write_text((HERE / "projects/flights_work.py").read_text())
    landing = folder / "landing"
    with project.running():
        for number in range(4):  # warm: the script's first file is not counted either
            rename_in(landing / f"w{number}.csv", days()[200 + number])
        project.wait_for(ALL_READ, 4)
        time.sleep(1)
        (before,) = project.rows("select count(*) from run where asset = 'total'")[0]
        began = time.monotonic()
        for number, content in enumerate(days()[:FILES]):
            rename_in(landing / f"d{number:03}.csv", content)
        ended = project.wait_for(ALL_READ, FILES + 4)
        (after,) = project.rows("select count(*) from run where asset = 'total'")[0]
    return ended - began, after - before


def by_hand(folder: Path) -> float:
    """Run the script over the same files."""
    landing, out = folder / "landing", folder / "out"
    landing.mkdir(parents=True)
    out.mkdir()
    for number, content in enumerate(days()[:FILES]):
        rename_in(landing / f"d{number:03}.csv", content)
    done = subprocess.run(
        [sys.executable, HERE / "script.py", "batch", landing, out],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)
