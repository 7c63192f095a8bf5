"""Definitions that change while the daemon runs: it follows, and runs what became stale by code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.living import Living, until

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files
from helping import factor

numbers = source("numbers", files("landing/numbers.csv"))

@asset
def scaled(numbers: pd.DataFrame, offset: int = 0) -> pd.DataFrame:
    return numbers * factor() + offset

@asset
def rounded(scaled: pd.DataFrame) -> pd.DataFrame:
    return scaled // 10
"""
HELPING = """
def factor():
    return 10
"""
OTHER = """
import pandas as pd
from afresh import asset

@asset
def other(numbers: pd.DataFrame) -> pd.DataFrame:
    return numbers + 1
"""


class Edited(Living):
    """A project whose files a test edits."""

    def run_count(self) -> int:
        """Give how many runs there were."""
        return len(self.json("runs"))

    def until_code(self, count: int) -> None:
        """Poll until so many definitions were in force."""
        self.wait_for("select count(*) >= ? from definitions", count)

    def codes(self) -> int:
        """Give how many definitions were in force so far."""
        ((count,),) = self.rows("select count(*) from definitions")
        return int(count)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Edited]:
    made = Edited.make(tmp_path / "project", PIPELINE)
    (made.folder / "helping.py").write_text(HELPING)
    (made.folder / "other.py").write_text(OTHER)
    (made.folder / "afresh.toml").write_text('definitions = ["pipeline", "other"]\n')
    made.land("numbers.csv", "n\n1\n2\n")
    with made.running():
        assert made.settle() == {"settled": True, "failed": [], "blocked": []}
        yield made


def test_edits_run_what_they_change_and_nothing_else(project: Edited) -> None:
    codes, runs = project.codes(), project.run_count()
    project.edit("pipeline.py", "    return numbers * f", "    # why\n    return numbers * f")
    project.until_code(codes + 1)
    project.settle()
    assert project.run_count() == runs, "a comment is no code"

    project.edit("pipeline.py", "factor() + offset", "factor() + offset + 1")
    project.until_code(codes + 2)
    project.settle()
    assert project.read("scaled") == [{"n": 11}, {"n": 21}]
    last = project.runs("scaled")[-1]
    assert last["cause"]["kind"] == "code"
    assert "code" in project.why("scaled@2")
    assert [run["state"] for run in project.runs("rounded")] == ["succeeded", "unchanged"]
    assert project.versions("rounded") == [1]
    assert len(project.runs("other")) == 1

    runs = len(project.runs("rounded"))
    project.edit("pipeline.py", "factor() + offset + 1", "factor() + 1 + offset")
    project.until_code(codes + 3)
    project.settle()
    assert project.versions("scaled") == [2, 1], "other code, equal content: no version"
    assert len(project.runs("rounded")) == runs, "so it stops there (P4)"

    project.edit("helping.py", "10", "20")
    project.until_code(codes + 4)
    project.settle()
    assert project.read("scaled") == [{"n": 21}, {"n": 41}]
    assert project.read("rounded") == [{"n": 2}, {"n": 4}]

    with (project.folder / "afresh.toml").open("a") as file:
        file.write("[parameters.scaled]\noffset = 100\n")
    project.until_code(codes + 5)
    project.settle()
    assert project.read("scaled") == [{"n": 121}, {"n": 141}]

    versions = {row["version"]: row["code_version"] for row in project.json("versions", "scaled")}
    assert len(set(versions.values())) > 1


def test_a_command_right_after_a_save_runs_the_new_code(project: Edited) -> None:
    project.edit("pipeline.py", "factor() + offset", "factor() + offset + 5")
    (row,) = project.json("materialize", "scaled")
    assert row["state"] == "fresh"
    assert project.read("scaled") == [{"n": 15}, {"n": 25}]
    (made,) = [row for row in project.json("check") if row["asset"] == "scaled"]
    assert project.json("versions", "scaled")[0]["code_version"] == made["code_version"]


def test_a_module_that_breaks_leaves_its_last_good_definitions_in_force(project: Edited) -> None:
    codes = project.codes()
    project.edit("other.py", "    return numbers + 1", "    return numbers +")
    log = project.folder / "up.log"
    until(lambda: "other.py:7" in log.read_text(), "the daemon tells")
    project.land("numbers.csv", "n\n3\n")
    project.settle()
    assert project.read("scaled") == [{"n": 30}]
    assert project.read("other") == [{"n": 4}], "the old definition goes on"
    row = project.status("other")
    assert (row["state"], row["version"], row["reasons"]) == ("fresh", 2, ["code"])
    assert "import" in project.why("other")
    assert project.status("scaled")["reasons"] == []
    assert project.codes() == codes
    checked = project.run("check", check=False)
    assert checked.returncode == 2
    assert "other.py:7" in checked.stdout + checked.stderr

    project.edit("other.py", "    return numbers +", "    return numbers + 2")
    project.until_code(codes + 1)
    project.settle()
    assert project.read("other") == [{"n": 5}]
    assert (project.status("other")["state"], project.status("other")["reasons"]) == ("fresh", [])


def test_a_start_while_a_module_is_broken_goes_on_by_its_last_good_definitions(
    tmp_path: Path,
) -> None:
    project = Edited.make(tmp_path / "project", PIPELINE)
    (project.folder / "helping.py").write_text(HELPING)
    project.land("numbers.csv", "n\n1\n")
    assert project.until_idle().returncode == 0
    project.edit("helping.py", "return 10", "return (")
    project.land("numbers.csv", "n\n2\n")
    with project.running() as daemon:
        assert "helping.py:3" in daemon.output()
        assert project.settle() == {"settled": True, "failed": [], "blocked": []}
        assert project.read("scaled") == [{"n": 20}]
        assert project.status("numbers")["reasons"] == ["code"]
        project.edit("helping.py", "return (", "return 100")
        project.settle()
        assert project.read("scaled") == [{"n": 200}]


def test_a_broken_module_does_not_keep_others_from_loading(project: Edited) -> None:
    codes = project.codes()
    project.edit("other.py", "    return numbers + 1", "    return numbers +")
    project.edit("helping.py", "return 10", "return 20")
    project.until_code(codes + 1)
    project.land("numbers.csv", "n\n3\n")
    project.settle("scaled", "rounded")
    assert project.read("scaled") == [{"n": 60}]
    row = project.status("other")
    assert (row["state"], row["version"]) == ("paused", 1)
    assert "import" in str(row["reasons"])
    assert project.read("other") == [{"n": 2}, {"n": 3}]

    project.edit("other.py", "    return numbers +", "    return numbers + 2")
    project.until_code(codes + 2)
    project.settle()
    assert project.read("other") == [{"n": 5}]
    assert project.status("other")["state"] == "fresh"


def test_definitions_that_contradict_are_refused_and_the_old_stay(project: Edited) -> None:
    codes = project.codes()
    before = project.folder.joinpath("pipeline.py").read_text()
    project.edit("pipeline.py", "def rounded(scaled:", "def rounded(scalded:")
    log = project.folder / "up.log"
    until(lambda: "scalded" in log.read_text(), "the daemon tells")
    assert "scaled" in log.read_text().rpartition("scalded")[2], "with the nearest name"
    project.land("numbers.csv", "n\n7\n")
    until(lambda: project.read("rounded") == [{"n": 7}], "the old definitions go on")
    done = project.run("materialize", "rounded", "--json", check=False)
    assert done.returncode == 2
    assert "pipeline.py" in done.stderr
    project.folder.joinpath("pipeline.py").write_text(before)
    assert project.settle()["failed"] == []
    assert project.codes() == codes


def test_new_and_removed_assets_are_followed(project: Edited) -> None:
    codes = project.codes()
    with (project.folder / "other.py").open("a") as file:
        file.write(
            "\n@asset\ndef third(other: pd.DataFrame) -> pd.DataFrame:\n    return other * 3\n"
        )
    project.until_code(codes + 1)
    project.settle()
    assert project.read("third") == [{"n": 6}, {"n": 9}]
    (project.folder / "other.py").write_text("")
    project.until_code(codes + 2)
    project.settle()
    rows: list[dict[str, Any]] = project.json("status")
    assert {row["asset"] for row in rows} == {"numbers", "scaled", "rounded"}
    assert [row["version"] for row in project.json("versions", "third")] == [1], "history stays"


DAYS = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

numbers = source("numbers", files("landing/{day}.csv"))

@asset
def scaled(numbers: pd.DataFrame) -> pd.DataFrame:
    return numbers * 10

@asset
def total(scaled: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"n": [scaled["n"].sum()]})
"""


def test_an_asset_that_is_made_by_day_from_now_on_is_read_by_day_alone(tmp_path: Path) -> None:
    project = Living.make(tmp_path / "p", DAYS)
    with project.running():
        project.land("d1.csv", "n\n1\n")
        project.land("d2.csv", "n\n2\n")
        project.settle()
        project.edit(
            "pipeline.py", "@asset\ndef scaled", '@asset(partitions="numbers")\ndef scaled'
        )
        project.run("check")
        project.settle()
        assert project.read("scaled") == [{"n": 10}, {"n": 20}]
        assert project.read("scaled@1") == [{"n": 10}, {"n": 20}], "what it was stays"
        assert project.states("scaled") == {"scaled[d1]": "fresh", "scaled[d2]": "fresh"}
        assert project.read("total") == [{"n": 30}]
        read = {node["ref"] for node in project.json("lineage", "total", "--depth", "1")["nodes"]}
        assert read == {"total@1", "scaled[d1]@1", "scaled[d2]@1"}

        project.edit("pipeline.py", '@asset(partitions="numbers")', "@asset")
        project.run("check")
        project.settle()
        assert project.read("scaled") == [{"n": 10}, {"n": 20}]
        assert project.states("scaled") == {"scaled": "fresh"}
        project.run("verify")
