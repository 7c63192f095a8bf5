"""Definitions that are wrong: all is told at once, each with its place, and nothing runs."""

import json
from pathlib import Path

import pytest

from support.living import Living

pytestmark = pytest.mark.e2e

PIPELINE = """\
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

orders = source("orders", files("landing/{k}.csv"))
twice = source("orders", files("landing/{k}.csv"))

@asset
def unknown(order: pd.DataFrame) -> pd.DataFrame:
    return order

@asset
def left(right: pd.DataFrame) -> pd.DataFrame:
    return right

@asset
def right(left: pd.DataFrame) -> pd.DataFrame:
    return left

@asset
def bare(orders) -> pd.DataFrame:
    return orders

@asset
def silent(orders: pd.DataFrame):
    return orders
"""
WRONG = {
    "pipeline.py:6": "pipeline.py:5",
    "pipeline.py:8": "did you mean 'orders'",
    "pipeline.py:12": "left -> right -> left",
    "pipeline.py:20": "annotation",
    "pipeline.py:24": "annotation",
}


def test_all_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    project.land("a.csv", "n\n1\n")
    done = project.run("check", check=False)
    assert done.returncode == 2
    for place, said in WRONG.items():
        lines = [line for line in done.stderr.splitlines() if f"{place}: Expected" in line]
        assert len(lines) == 1, (place, done.stderr)
        assert said in lines[0]
    for command in ("check", "up"):
        problem = json.loads(project.run(command, "--json", check=False).stderr)
        assert problem["where"] in WRONG
    up = project.until_idle()
    assert up.returncode == 2
    assert all(place in up.stderr + up.stdout for place in WRONG)
    assert "Traceback" not in up.stderr
    assert project.json("status") == []
    assert project.json("runs") == []


def test_a_module_that_does_not_import_costs_its_own_alone(tmp_path: Path) -> None:
    good = PIPELINE.partition("twice")[0]
    project = Living.make(tmp_path / "project", good)
    (project.folder / "broken.py").write_text("import pandas as pd\nimport nothing_like_it\n")
    (project.folder / "afresh.toml").write_text('definitions = ["pipeline", "broken"]\n')
    project.land("a.csv", "n\n1\n")
    done = project.run("check", check=False)
    assert done.returncode == 2
    assert "broken.py:2" in done.stderr
    assert "nothing_like_it" in done.stderr
    assert project.until_idle().returncode == 0
    assert project.states() == {"orders[a]": "fresh"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('definitons = ["pipeline"]', ["definitons", "definitions", "afresh.toml:2"]),
        ('state = "', ["afresh.toml"]),
        ("workers = 0", ["workers", "afresh.toml:2"]),
        ("[parameters.nothing]\nx = 1", ["nothing"]),
    ],
)
def test_wrong_settings(tmp_path: Path, settings: str, said: list[str]) -> None:
    pipeline = PIPELINE.partition("twice")[0]
    project = Living.make(tmp_path / "project", pipeline, settings + "\n")
    done = project.run("check", "--json", check=False)
    assert done.returncode == 2
    problem = json.loads(done.stderr.splitlines()[-1])
    text = " ".join(problem.values())
    assert [word for word in said if word not in text] == []


GOOD = """\
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

orders = source("orders", files("landing/{k}.csv"))

@asset
def total(orders: pd.DataFrame) -> pd.DataFrame:
    return orders
"""


def test_what_has_an_end_does_not_go_on_by_other_definitions_than_those_on_disk(
    tmp_path: Path,
) -> None:
    project = Living.make(tmp_path / "project", GOOD)
    project.land("a.csv", "n\n1\n")
    assert project.until_idle().returncode == 0
    pipeline = project.folder / "pipeline.py"
    pipeline.write_text(GOOD.replace("def total(orders:", "def total(order:"))
    for command in (("up", "--until-idle"), ("materialize", "total")):
        done = project.run(*command, check=False)
        assert done.returncode == 2, command
        assert "did you mean 'orders'" in done.stderr
    with project.running() as daemon:
        assert "those that were last in force stay" in daemon.output()
        project.land("b.csv", "n\n2\n")
        project.wait_for("select count(*) = 2 from version where asset = 'total'")


def test_the_nearest_name_is_told_though_a_module_does_not_import(tmp_path: Path) -> None:
    project = Living.make(
        tmp_path / "project", GOOD.replace("def total(orders:", "def total(order:")
    )
    (project.folder / "broken.py").write_text("import nothing_there\n")
    (project.folder / "afresh.toml").write_text('definitions = ["pipeline", "broken"]\n')
    told = project.run("check", check=False).stderr
    assert "did you mean 'orders'? broken did not import and may declare it" in told
