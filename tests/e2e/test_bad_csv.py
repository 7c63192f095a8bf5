"""Bad files: nothing is published, the last good stays, the reason is told, the daemon goes on."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from support.living import Living, ref

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import files

class Row(pa.DataFrameModel):
    name: str
    amount: int = pa.Field(ge=0)

class Sum(pa.DataFrameModel):
    total: int

rows = source("rows", files("landing/{day}.csv"), schema=Row)

@asset(partitions="rows")
def sums(rows: DataFrame[Row]) -> DataFrame[Sum]:
    import pandas
    return DataFrame[Sum](pandas.DataFrame({"total": [int(rows["amount"].sum())]}))
"""
GOOD = "name,amount\nann,1\nbob,2\n"
WIDE = ",".join(f"c{i}" for i in range(100_000))

BAD: dict[str, tuple[str | bytes, list[str]]] = {
    "missing-column": ("name\nann\n", ["amount"]),
    "wrong-type": ("name,amount\nann,1\nbob,two\n", ["amount", "two", "row 2 (line 3)"]),
    "ragged": ("name,amount\nann,1\nbob,2,3\n", ["3"]),
    "encoding": ("name,amount\nj\xf6rg,1\n".encode("latin-1"), ["utf-8", "line 2"]),
    "utf16": ("name,amount\nann,1\n".encode("utf-16"), []),
    "nul": (b"name,amount\nann,1\n\0\0\0\0,\0\n", []),
    "nul-only": (b"\0" * 4096, []),
    "empty": ("", ["empty"]),
    "header-only": ("name,amount\n", ["header only"]),
    "breaks-a-check": ("name,amount\nann,1\nbob,-5\n", ["amount", "-5", "row 2 (line 3)"]),
    "wide": (f"{WIDE}\n{WIDE}\n", ["100000"]),
    "huge-number": ("name,amount\nann,99999999999999999999\n", ["amount"]),
    "fraction": ("name,amount\nann,1.5\n", ["amount", "1.5"]),
}


@dataclass
class Story:
    """A project in which each case had a good file, then the bad one."""

    project: Living
    answer: dict[str, Any]
    states: dict[str, dict[str, Any]]
    runs: dict[str, list[dict[str, Any]]]
    versions: dict[str, list[int]]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    project = Living.make(tmp_path_factory.mktemp("bad") / "project", PIPELINE)
    with project.running():
        for case in BAD:
            project.land(f"{case}.csv", GOOD)
        assert project.settle() == {"settled": True, "failed": [], "blocked": []}
        for case, (content, _) in BAD.items():
            project.land(f"{case}.csv", content)
        answer = project.settle()
        states = {ref(row): row for row in project.json("status")}
        runs: dict[str, list[dict[str, Any]]] = {}
        for row in sorted(project.json("runs"), key=itemgetter("run")):
            runs.setdefault(ref(row), []).append(row)
        versions: dict[str, list[int]] = {}
        for row in [*project.json("versions", "rows"), *project.json("versions", "sums")]:
            versions.setdefault(ref(row), []).append(row["version"])
        yield Story(project, answer, states, runs, versions)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_leaves_the_last_good_version(story: Story, case: str) -> None:
    said, unit, made = BAD[case][1], f"rows[{case}]", f"sums[{case}]"
    assert unit in story.answer["failed"]
    row = story.states[unit]
    assert (row["state"], row["version"]) == ("failed", 1)
    assert story.states[made]["state"] == "fresh", "a rejected arrival holds nobody"
    why = story.project.why(unit)
    reason = str(row["reasons"][0])
    assert [word for word in said if word not in reason + why] == []
    assert len(reason) < 2000
    assert f"landing/{case}.csv" in why
    assert (story.versions[unit], story.versions[made]) == ([1], [1])
    assert [run["state"] for run in story.runs[unit]] == ["succeeded", "rejected"]
    assert story.runs[unit][-1]["error"]
    assert [run["state"] for run in story.runs[made]] == ["succeeded"]


def test_the_daemon_goes_on_and_what_is_mended_is_well(story: Story) -> None:
    for case in BAD:
        story.project.land(f"{case}.csv", GOOD + "cat,4\n")
    assert story.project.settle() == {"settled": True, "failed": [], "blocked": []}
    kept = story.project.json("versions", "sums")
    assert sorted(row["version"] for row in kept) == [1] * len(BAD) + [2] * len(BAD)
    assert story.project.read("sums[nul]") == [{"total": 7}]


def test_a_first_file_that_is_bad_makes_no_version(story: Story) -> None:
    project = story.project
    project.land("first.csv", "name\nann\n")
    project.settle("rows[first]")
    row = project.status("rows[first]")
    assert (row["state"], row["version"]) == ("failed", None)
    assert project.json("versions", "rows[first]") == []


def test_until_idle_exits_with_one_and_says_why(tmp_path: Path) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    project.land("a.csv", GOOD)
    assert project.until_idle().returncode == 0
    project.land("b.csv", "name,amount\nann,two\n")
    done = project.until_idle()
    assert done.returncode == 1
    assert "two" in done.stdout
    assert "amount" in done.stdout
    assert project.states()["rows[b]"] == "failed"
    assert project.until_idle().returncode == 1, "a restart does not try it again, nor forget it"
    assert len(project.runs("rows[b]")) == 1
    project.land("b.csv", GOOD)
    assert project.until_idle().returncode == 0
