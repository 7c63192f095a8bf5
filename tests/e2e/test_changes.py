"""What happens to files: overwritten, deleted, renamed, moved in with a folder, refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.living import Living, until

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

SETTLE = 0.2
kept = source("kept", files("landing/kept/{k}.csv", settle=SETTLE))
spread = source("spread", files("landing/spread/{k}.csv", settle=SETTLE), on_delete="propagate")
strict = source("strict", files("landing/strict/{k}.csv", settle=SETTLE), on_delete="fail")
tree = source("tree", files("landing/tree/{day}/{region}.csv", settle=SETTLE))

@asset
def kept_all(kept: pd.DataFrame) -> pd.DataFrame:
    return kept

@asset(partitions="kept")
def kept_own(kept: pd.DataFrame) -> pd.DataFrame:
    return kept

@asset
def spread_all(spread: pd.DataFrame) -> pd.DataFrame:
    return spread

@asset(partitions="spread")
def spread_own(spread: pd.DataFrame) -> pd.DataFrame:
    return spread

@asset
def strict_all(strict: pd.DataFrame) -> pd.DataFrame:
    return strict

@asset(partitions="tree")
def tree_own(tree: pd.DataFrame) -> pd.DataFrame:
    return tree
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    made = Living.make(tmp_path_factory.mktemp("changes") / "project", PIPELINE)
    for name in ("kept", "spread", "strict", "tree"):
        (made.folder / "landing" / name).mkdir()
    with made.running():
        for name in ("kept", "spread", "strict"):
            for key in "abcde":
                made.land(f"{name}/{key}.csv", f"n\n{ord(key)}\n")
        assert made.settle() == {"settled": True, "failed": [], "blocked": []}
        yield made


def test_overwritten_is_a_new_version_everywhere(project: Living) -> None:
    with (project.folder / "landing/kept/a.csv").open("w") as file:
        file.write("n\n1\n")
        file.flush()
        file.write("2\n")
    assert project.settle()["failed"] == []
    assert project.versions("kept[a]") == [2, 1]
    assert project.read("kept_own[a]") == [{"n": 1}, {"n": 2}]
    assert project.read("kept_all")[:2] == [{"n": 1}, {"n": 2}]
    assert project.versions("kept_own[b]") == [1], "the others have no part in it"


def test_back_to_former_content_runs_nothing(project: Living) -> None:
    before = project.read("kept_own[b]")
    project.land("kept/b.csv", "n\n-1\n")
    project.settle()
    runs = len(project.runs("kept_own[b]"))
    project.land("kept/b.csv", f"n\n{ord('b')}\n")
    project.settle()
    assert project.read("kept_own[b]") == before
    assert len(project.runs("kept_own[b]")) == runs, "its run key is known: the head moves back"
    assert project.status("kept_own[b]")["version"] == 1


def test_deleted_and_kept(project: Living) -> None:
    (project.folder / "landing/kept/c.csv").unlink()
    project.settle()
    until(lambda: project.status("kept[c]")["reasons"], "the deletion is told")
    row = project.status("kept[c]")
    assert row["state"] == "fresh"
    assert "delete" in str(row["reasons"])
    assert {"n": ord("c")} in project.read("kept_all")
    assert project.read("kept[c]") == [{"n": ord("c")}]


def test_deleted_and_propagated(project: Living) -> None:
    runs = len(project.runs("spread_own[c]"))
    (project.folder / "landing/spread/c.csv").unlink()
    project.settle()
    until(lambda: {"n": ord("c")} not in project.read("spread_all"), "it is in no `all`")
    assert len(project.runs("spread_own[c]")) == runs, "a tombstone without a run"
    assert project.status("spread_own[c]")["state"] == "fresh"
    assert "deleted" in str(project.status("spread_own[c]")["reasons"])
    project.land("spread/c.csv", f"n\n{ord('c')}\n")
    project.settle()
    assert {"n": ord("c")} in project.read("spread_all")
    assert project.read("spread_own[c]") == [{"n": ord("c")}]


def test_deleted_and_failed(project: Living) -> None:
    path = project.folder / "landing/strict/c.csv"
    path.unlink()
    assert project.settle()["blocked"] == ["strict_all"]
    assert "strict[c]" in project.why("strict_all")
    project.land("strict/c.csv", f"n\n{ord('c')}\n")
    assert project.settle()["blocked"] == []
    assert project.versions("strict_all")[0] == project.status("strict_all")["version"]


def test_renamed_is_a_deletion_and_an_arrival(project: Living) -> None:
    folder = project.folder / "landing/spread"
    (folder / "d.csv").rename(folder / "z.csv")
    assert project.settle()["failed"] == []
    rows = project.read("spread_all")
    assert rows[-1] == {"n": ord("d")}, "keys in order: z is last"
    assert len(rows) == 5
    assert project.read("spread_own[z]") == [{"n": ord("d")}]


def test_new_folders_and_moved_in_trees(project: Living) -> None:
    landing = project.folder / "landing"
    (landing / "tree/mon").mkdir(parents=True)
    (landing / "tree/mon/east.csv").write_text("n\n1\n")
    other = project.folder / "elsewhere/tue"
    other.mkdir(parents=True)
    (other / "we st.csv").write_text("n\n2\n")
    (other / "north.csv").write_text("n\n3\n")
    other.rename(landing / "tree/tue")
    answer = project.settle()
    assert answer == {"settled": True, "failed": [], "blocked": []}
    wanted = {f"tree_own[{key}]" for key in ("mon,east", "tue,we st", "tue,north")}
    assert set(until(lambda: project.states("tree_own"))) == wanted
    assert project.read("tree_own[tue,we st]") == [{"n": 2}]


def test_temporary_names_are_ignored_and_others_are_unmatched(project: Living) -> None:
    for name in (".hidden.csv", "half.csv.part", "old.csv~", "x.csv.tmp"):
        (project.folder / "landing/kept" / name).write_text("n\n1\n")
    (project.folder / "landing/kept/readme.txt").write_text("hello")
    project.settle()
    rows = project.json("events", "--unmatched")
    assert [(row["uri"], row["state"]) for row in rows] == [
        ("landing/kept/readme.txt", "unmatched")
    ]
    assert "half" not in str(project.json("events"))


def test_two_files_of_one_key_are_refused_both_named(project: Living) -> None:
    project.land("kept/e.csv.gz", b"")
    project.until_state("kept[e]", "failed")
    assert project.settle()["failed"] == ["kept[e]"]
    why = project.why("kept[e]")
    assert "e.csv.gz" in why
    assert "e.csv" in why.replace("e.csv.gz", "")
    assert project.read("kept[e]") == [{"n": ord("e")}]
    arrived = project.json("events", "--source", "kept", "--partition", "e")
    count = len(project.versions("kept[e]"))
    emitted = project.json("emit", "kept", "--path", "landing/kept/e.csv")
    project.settle()
    replayed = project.run("replay", "--events", str(arrived[0]["seq"]), "--json", check=False)
    forced = project.run("materialize", "kept[e]", "--force", "--json", check=False)
    assert (replayed.returncode, forced.returncode) == (1, 1), "by hand neither is read either"
    assert [row["state"] for row in json.loads(replayed.stdout)] == ["rejected"]
    (event,) = project.json("events", "--since", str(emitted["seq"]), "--limit", "1")
    assert event["state"] == "rejected"
    assert len(project.versions("kept[e]")) == count
    assert project.status("kept[e]")["state"] == "failed"
    (project.folder / "landing/kept/e.csv.gz").unlink()
    project.until_state("kept[e]", "fresh")


def test_more_than_half_gone_is_asked_about(project: Living) -> None:
    sensor = "spread"
    project.run("sensors", "pause", sensor)
    for path in sorted((project.folder / "landing" / sensor).iterdir())[:4]:
        path.unlink()
    project.run("sensors", "resume", sensor)

    def failed() -> dict[str, Any] | None:
        row = next(row for row in project.json("sensors") if row["sensor"] == sensor)
        return row if row["state"] == "failed" else None

    row = until(failed, "the sensor fails")
    done = project.run("sensors", "scan", sensor, check=False)
    assert "--accept" in row["error"] + done.stdout + done.stderr
    assert len(project.read("spread_all")) == 5, "nothing counts as deleted"
    project.run("sensors", "scan", sensor, "--accept")
    project.settle()
    assert len(project.read("spread_all")) == 1
    row = next(row for row in project.json("sensors") if row["sensor"] == sensor)
    assert row["state"] == "watching"


def test_paused_assets_and_sensors_lose_nothing(project: Living) -> None:
    project.run("pause", "kept_all")
    assert project.status("kept_all")["state"] == "paused"
    runs = len(project.runs("kept_all"))
    for number in range(5):
        project.land(f"kept/p{number}.csv", f"n\n{1000 + number}\n")
        project.settle("kept")
    assert len(project.runs("kept_all")) == runs
    project.run("resume", "kept_all")
    project.settle()
    assert len(project.runs("kept_all")) == runs + 1, "one run takes all that came"
    assert {"n": 1004} in project.read("kept_all")

    project.run("sensors", "pause", "kept")
    project.land("kept/q.csv", "n\n2000\n")
    project.settle()
    assert {"n": 2000} not in project.read("kept_all")
    project.run("sensors", "resume", "kept")
    until(lambda: project.settle() and {"n": 2000} in project.read("kept_all"), "read again")
