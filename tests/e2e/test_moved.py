"""A project folder that is moved or copied takes its versions with it (P7)."""

import shutil
from pathlib import Path

import pytest

from support.living import Living

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

days = source("days", files("landing/{day}.csv"))

@asset
def total(days: pd.DataFrame) -> pd.DataFrame:
    return days.agg("sum").to_frame("n").reset_index(drop=True)
"""


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_all_versions_are_read_and_go_on(tmp_path: Path, how: str) -> None:
    old = Living(Living.make(tmp_path / "old", PIPELINE).folder)
    old.land("mon.csv", "n\n1\n")
    old.run("up", "--until-idle")
    new = Living(tmp_path / "new")
    (shutil.copytree if how == "copied" else shutil.move)(old.folder, new.folder)

    # Before a daemon has been there: nothing is written.
    assert new.json("read", "total") == [{"n": 1}]
    assert new.run("verify").returncode == 0
    if how == "copied":
        damaged = Path(old.json("versions", "total")[0]["uri"])
        damaged.write_bytes(b"")
        assert new.run("verify").returncode == 0

    new.land("tue.csv", "n\n2\n")
    new.run("up", "--until-idle")
    assert new.json("read", "total") == [{"n": 3}]
    rows = new.json("versions", "days") + new.json("versions", "total")
    assert all(row["uri"].startswith(f"{new.folder}/") for row in rows)
    assert new.run("verify").returncode == 0
