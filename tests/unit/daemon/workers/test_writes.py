"""Which files a function writes, as far as Python's audit events tell."""

import os
from pathlib import Path

import pandas as pd

from afresh.daemon.workers.writes import MOST_PATHS, watching


def test_what_python_writes_is_seen(tmp_path: Path) -> None:
    (tmp_path / "read").write_text("x")
    with watching(wanted=True) as wrote:
        pd.DataFrame({"a": [1]}).to_csv(tmp_path / "frame.csv")
        (tmp_path / "read").read_text()
        (tmp_path / "part").write_text("x")
        (tmp_path / "part").rename(tmp_path / "renamed")
        os.close(os.open(tmp_path / "low", os.O_WRONLY | os.O_CREAT))
    (tmp_path / "later").write_text("x")
    names = {Path(path).name for path in wrote if Path(path).parent == tmp_path.resolve()}
    assert names == {"frame.csv", "part", "renamed", "low"}


def test_nothing_is_seen_where_nothing_is_wanted(tmp_path: Path) -> None:
    with watching(wanted=False) as wrote:
        (tmp_path / "a").write_text("x")
    assert wrote == set()


def test_no_more_is_kept_than_so_much(tmp_path: Path) -> None:
    with watching(wanted=True) as wrote:
        for number in range(MOST_PATHS + 10):
            (tmp_path / str(number)).write_text("x")
    assert len(wrote) == MOST_PATHS
