"""Every run names its cause, whatever changed; what is left behind is taken by hand (P5)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.living import Living

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

days = source("days", files("landing/{day}.csv"), on_delete="propagate")

@asset(partitions="days")
def doubled(days: pd.DataFrame) -> pd.DataFrame:
    return days * 2

@asset
def scaled(days: pd.DataFrame, factor: int = 1) -> pd.DataFrame:
    return days * factor
"""
TOTAL = """
@asset
def total(doubled: pd.DataFrame) -> pd.DataFrame:
    return doubled.sum().to_frame().T
"""
COUNT = """
@asset
def count(days: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"rows": [len(days)]})
"""
ADDED = """
@asset
def added(days: pd.DataFrame) -> pd.DataFrame:
    return days
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Living]:
    made = Living.make(tmp_path / "project", PIPELINE)
    made.land("mon.csv", "n\n1\n")
    made.land("tue.csv", "n\n2\n")
    with made.running():
        assert made.settle() == {"settled": True, "failed": [], "blocked": []}
        yield made


def last_code_event(project: Living) -> int:
    rows: list[dict[str, Any]] = project.json("events")
    return max(int(row["seq"]) for row in rows if row["kind"] == "code")


def last_run(project: Living, unit: str) -> Any:
    return project.json("runs", unit)[-1]


def test_new_parameters_and_new_assets_name_the_event_of_the_definitions(project: Living) -> None:
    settings = project.folder / "afresh.toml"
    settings.write_text(settings.read_text() + "[parameters.scaled]\nfactor = 3\n")
    project.settle()
    cause = {"kind": "code", "event": last_code_event(project)}
    assert last_run(project, "scaled")["cause"] == cause
    because = project.json("why", "scaled")["because"]
    assert any("parameters" in entry["detail"] for entry in because)
    assert because[-1]["event"] == cause["event"]

    pipeline = project.folder / "pipeline.py"
    pipeline.write_text(pipeline.read_text() + ADDED)
    project.settle()
    cause = {"kind": "code", "event": last_code_event(project)}
    assert last_run(project, "added")["cause"] == cause
    because = project.json("why", "added")["because"]
    assert cause["event"] in [entry["event"] for entry in because if entry["kind"] == "event"]


def test_what_older_code_made_names_the_new_code_and_is_made_anew_by_hand(project: Living) -> None:
    pipeline = project.folder / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("days * 2", "days * 20"))
    project.settle()
    (row,) = project.json("status", "doubled[mon]")
    assert (row["state"], row["version"], row["reasons"]) == ("fresh", 1, ["code"])
    (entry,) = [e for e in project.json("why", "doubled[mon]")["because"] if e["kind"] == "code"]
    assert entry["event"] == last_code_event(project)

    (made,) = project.json("materialize", "doubled[mon]")
    assert (made["state"], made["version"]) == ("fresh", 2)
    assert project.json("read", "doubled[mon]") == [{"n": 20}]
    (left,) = project.json("status", "doubled[tue]")
    assert (left["version"], left["reasons"]) == (1, ["code"])


def test_code_that_is_behind_names_the_change_that_brought_it_whatever_changed_since(
    tmp_path: Path,
) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    project.land("mon.csv", "n\n1\n")
    assert project.until_idle().returncode == 0
    pipeline = project.folder / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("days * 2", "days * 20"))
    assert project.until_idle().returncode == 0
    brought = last_code_event(project)
    pipeline.write_text(pipeline.read_text() + ADDED)
    assert project.until_idle().returncode == 0
    assert last_code_event(project) > brought
    (entry,) = [e for e in project.json("why", "doubled[mon]")["because"] if e["kind"] == "code"]
    assert entry["event"] == brought
    assert project.json("materialize", "doubled[mon]")[0]["version"] == 2


def test_a_deletion_is_named_where_it_leads_to(project: Living) -> None:
    (project.folder / "landing" / "mon.csv").unlink()
    project.settle()
    (deleted,) = [row["seq"] for row in project.json("events") if row["kind"] == "deleted"]
    for unit in ("days[mon]", "doubled[mon]", "scaled"):
        events = [entry["event"] for entry in project.json("why", unit)["because"]]
        assert deleted in events, unit


@pytest.mark.parametrize("restarted", [False, True])
def test_a_run_that_a_deletion_alone_has_caused_names_it(tmp_path: Path, restarted: bool) -> None:
    project = Living.make(tmp_path / "project", PIPELINE + TOTAL)
    for day in ("mon", "tue", "wed"):
        project.land(f"{day}.csv", f"n\n{len(day)}{ord(day[0])}\n")
    daemon = project.start()
    project.settle()
    (project.folder / "landing" / "wed.csv").unlink()
    project.settle()
    # A later arrival elsewhere must not take the blame.
    project.land("tue.csv", "n\n7\n")
    project.settle()
    if restarted:
        daemon.stop()
        daemon = project.start()
    try:
        (project.folder / "landing" / "mon.csv").unlink()
        project.settle()
        deleted = [row["seq"] for row in project.json("events") if row["kind"] == "deleted"][-1]
        for asset in ("scaled", "total"):
            run = last_run(project, asset)
            assert run["cause"] == {"kind": "deleted", "event": deleted}, asset
            assert run["events"] == 1
            because = project.json("why", asset)["because"]
            assert because[-1]["event"] == deleted
    finally:
        daemon.stop()
        daemon.kill()


def test_content_that_a_later_run_found_again_is_known_by_what_that_run_read(
    tmp_path: Path,
) -> None:
    project = Living.make(tmp_path / "project", PIPELINE + COUNT)
    for content in ("n\n1\n", "n\n2\n"):
        project.land("mon.csv", content)
        assert project.until_idle().returncode == 0
    first, second = (row["run"] for row in project.runs("count"))
    answer = project.json("lineage", "count")
    assert answer["edges"] == [{"from": "days[mon]@2", "to": "count@1", "via": second}]
    assert answer["nodes"][0]["made_by"] == first
    told = project.run("lineage", "count").stdout
    assert f"made by run {first}, confirmed by run {second}" in told
    because = project.json("why", "count")["because"]
    assert not any("did not run" in entry["detail"] for entry in because)
    assert any(f"run {second} found the content" in entry["detail"] for entry in because)
