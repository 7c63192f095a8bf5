"""What is left of a unit whose file is deleted for good, as the command line shows it."""

from pathlib import Path

import pytest

from support.living import Living

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

a = source("a", files("landing/a/{n}.csv"))
b = source("b", files("landing/b/{n}.csv"), on_delete="propagate")

@asset(partitions=("a", "b"))
def both(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    return a.merge(b)
"""


@pytest.fixture
def project(tmp_path: Path) -> Living:
    return Living.make(tmp_path / "project", PIPELINE, "workers = 1\n")


def test_a_unit_whose_one_file_is_deleted_before_the_other_came_blocks_nothing(
    project: Living,
) -> None:
    files = [project.land(f"{name}.csv", "n\n1\n") for name in ("a/1", "b/1", "a/2", "b/3")]
    with project.running():
        assert project.settle()["blocked"] == ["both[2]", "both[3]"]
        files[3].unlink()
        assert project.settle("both[3]") == {"settled": True, "failed": [], "blocked": []}
        assert project.settle()["blocked"] == ["both[2]"]
        assert project.status("both[3]")["reasons"] == ["deleted"]
        project.land("b/2.csv", "n\n1\n")
        assert project.settle()["blocked"] == []
    assert project.until_idle().returncode == 0
