"""A project folder that is moved or copied takes its versions with it (P7)."""

import json
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
    old = Living.make(tmp_path / "old", PIPELINE)
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


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_source_is_mended_from_its_file(tmp_path: Path, damage: str) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    file = project.land("mon.csv", "n\n1\n")
    for name in ("tue", "wed"):
        project.land(f"{name}.csv", "n\n0\n")
    project.run("up", "--until-idle")
    (version,) = project.json("versions", "days[mon]")
    artifact = Path(version["uri"])
    with project.running():
        artifact.write_bytes(b"x") if damage == "changed" else artifact.unlink()
        (_, finding) = project.run("verify", check=False).stdout.splitlines()[-2:]
        assert "afresh materialize --force days[mon]" in finding
        (made,) = project.json("materialize", "days[mon]", "--force")
        assert (made["state"], made["version"]) == ("fresh", 1)
        assert project.run("verify").returncode == 0
        assert project.json("read", "days[mon]") == [{"n": 1}]
        # Its readers are given the new one, now and after a restart.
        runs = len(project.runs("total"))
        (made,) = project.json("materialize", "total", "--force")
        assert (made["state"], made["version"]) == ("fresh", 1)
        assert len(project.runs("total")) == runs + 1
    project.run("materialize", "total", "--force")
    before = set(artifact.parent.iterdir())
    project.run("materialize", "days", "--force")
    assert set(artifact.parent.iterdir()) == before  # what is whole is not written again

    file.unlink()
    project.run("wait")
    refused = project.run("materialize", "days[mon]", "--force", check=False)
    assert refused.returncode == 2
    assert "landing/mon.csv" in refused.stderr
    assert project.status("days[mon]")["reasons"] == ["deleted"]
    assert project.run("materialize", "days[mon]+", "--force").returncode == 0


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_forced_run_mends_a_damaged_version(tmp_path: Path, damage: str) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    project.land("mon.csv", "n\n1\n")
    project.run("up", "--until-idle")
    with project.running():
        (version,) = project.json("versions", "total")
        artifact = Path(version["uri"])
        artifact.write_bytes(b"x") if damage == "changed" else artifact.unlink()
        assert project.run("verify", check=False).returncode == 1
        (made,) = project.json("materialize", "total", "--force")
        assert (made["state"], made["version"]) == ("fresh", 1)
        assert project.run("verify").returncode == 0
        assert project.json("read", "total") == [{"n": 1}]
    folder = artifact.parent
    (mended,) = project.json("versions", "total")
    before = set(folder.iterdir())
    project.run("materialize", "total", "--force")
    assert project.json("versions", "total") == [mended]
    assert set(folder.iterdir()) == before  # what is whole is not written again


def test_an_older_version_is_mended_when_its_content_comes_again(tmp_path: Path) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    for content in ("n\n1\n", "n\n2\n"):
        project.land("mon.csv", content)
        assert project.until_idle().returncode == 0
    older = project.json("versions", "days[mon]")[-1]
    Path(older["uri"]).write_bytes(b"x")
    done = project.run("verify", "--json", check=False)
    (finding,) = [row for row in json.loads(done.stdout) if row["state"] == "failed"]
    assert finding["detail"].startswith("days[mon]@1: ")
    assert f"restore {older['uri']} from a backup" in finding["hint"]
    assert project.read("days[mon]") == [{"n": 2}]

    project.land("mon.csv", "n\n1\n")
    project.until_idle()
    (finding,) = [
        r
        for r in json.loads(project.run("verify", "--json", check=False).stdout)
        if r["state"] == "failed"
    ]
    assert finding["hint"].startswith("afresh materialize --force days[mon]")
    project.run("materialize", "--force", "days[mon]")
    assert project.run("verify").returncode == 0
    assert project.read("days[mon]@1") == [{"n": 1}]
