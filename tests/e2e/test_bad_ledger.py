"""A ledger that cannot be used: a clear refusal or pause, no damage, on again when it is mended."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from support.living import Living, until
from support.project import command_with

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

rows = source("rows", files("landing/{k}.csv"))

@asset
def total(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["n"]].sum().to_frame().T
"""


FILL = """
from pathlib import Path

def fill(ballast, wanted):
    if not Path(wanted).exists():
        return
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Living:
    made = Living.make(tmp_path / "project", PIPELINE)
    made.land("a.csv", "n\n1\n")
    assert made.until_idle().returncode == 0
    return made


def _ledger(project: Living) -> Path:
    return project.state / "ledger.sqlite"


def _goes_on(project: Living) -> None:
    project.land("b.csv", "n\n10\n")
    assert project.until_idle().returncode == 0
    assert project.read("total") == [{"n": 11}]
    assert project.versions("total") == [2, 1]


def test_of_a_newer_release(project: Living) -> None:
    with closing(sqlite3.connect(_ledger(project))) as connection:
        ((revision,),) = connection.execute("select version_num from alembic_version").fetchall()
        connection.execute("update alembic_version set version_num = 'r9999'")
        connection.commit()
    before = _ledger(project).read_bytes()
    for command in (("up", "--until-idle"), ("status",), ("materialize", "total")):
        done = project.run(*command, "--json", check=False)
        assert done.returncode == 2, command
        problem = json.loads(done.stderr.splitlines()[-1])
        assert "newer" in problem["error"] + problem["hint"]
    assert _ledger(project).read_bytes() == before, "not touched"
    with closing(sqlite3.connect(_ledger(project))) as connection:
        connection.execute("update alembic_version set version_num = ?", (revision,))
        connection.commit()
    _goes_on(project)


@pytest.mark.parametrize("damage", ["header", "middle", "short"])
def test_damaged(project: Living, damage: str) -> None:
    path = _ledger(project)
    for name in ("-wal", "-shm"):
        assert not path.with_name(path.name + name).exists(), "it was closed"
    good = path.read_bytes()
    bad = bytearray(good)
    if damage == "header":
        bad[:100] = b"\xff" * 100
    elif damage == "middle":
        for page in range(2, len(bad) // 4096):
            bad[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    else:
        bad = bad[: len(bad) // 2 + 100]
    path.write_bytes(bad)
    done = project.run("up", "--until-idle", "--json", check=False)
    assert done.returncode == 2, done.stdout
    problem = json.loads(done.stderr.splitlines()[-1])
    assert "ledger" in (problem["error"] + problem["hint"]).lower()
    assert problem["hint"]
    assert "Traceback" not in done.stderr
    for command in ("verify", "doctor"):
        done = project.run(command, "--json", check=False)
        assert (done.returncode, done.stderr) == (1, ""), command
        found = [row for row in json.loads(done.stdout) if row["state"] == "failed"]
        assert {row["check"] for row in found} == {"ledger"}, command
        assert "restore" in found[0]["hint"]
    path.write_bytes(good)
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    _goes_on(project)


def test_locked_by_another_writer(project: Living) -> None:
    with project.running() as daemon:
        with closing(sqlite3.connect(_ledger(project), isolation_level=None)) as other:
            other.execute("begin immediate")
            project.land("b.csv", "n\n10\n")
            until(lambda: "locked" in daemon.output().lower(), "it is told", seconds=60)
            assert project.status("total")["version"] == 1, "it still answers"
            assert project.read("total") == [{"n": 1}]
            other.execute("rollback")
        until(lambda: project.read("total") == [{"n": 11}], "on again")
        assert project.versions("total") == [2, 1]


def test_read_only(project: Living) -> None:
    if os.geteuid() == 0 and not _can_drop():
        pytest.skip("root writes what is read-only, and setpriv is not here")
    files = [project.state, *project.state.rglob("*")]
    modes = {path: path.stat().st_mode for path in files}
    for path in files:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for path in (project.folder, *project.folder.parents):
        if path.stat().st_uid == os.geteuid() and path.stat().st_mode & 0o777 == 0o700:
            path.chmod(0o711)
    try:
        done = subprocess.run(
            [*_as_nobody(), project.command, "up", "--until-idle", "--json"],
            cwd=project.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        problem = json.loads(done.stderr.splitlines()[-1])
        assert problem["hint"]
        assert "ermission denied" in problem["error"] + problem["hint"]
        status = subprocess.run(
            [*_as_nobody(), project.command, "status", "--json"],
            cwd=project.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert status.returncode == 0, status.stderr
        assert {row["state"] for row in json.loads(status.stdout)} == {"fresh"}
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    _goes_on(project)


def _as_nobody() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def _can_drop() -> bool:
    command = [*_as_nobody(), Living.command, "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(ballast: Path) -> None:
    """Take all the room that is left."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk(tmp_path: Path, small: Path) -> None:
    project = Living.make(tmp_path / "project", PIPELINE, f'state = "{small}/state"\n')
    project.land("a.csv", "n\n1\n")
    assert project.until_idle().returncode == 0
    with project.running() as daemon:
        ballast = small / "ballast"
        _fill(ballast)
        project.land("b.csv", "n\n10\n")
        words = ("space", "full")
        until(lambda: any(word in daemon.output() for word in words), "it is loud", seconds=60)
        assert project.read("total") == [{"n": 1}], "what was there is there"
        assert any(word in project.json("sensors")[0]["error"] for word in words)
        late = project.run("wait", "--timeout", "2", check=False, timeout=30)
        assert (late.returncode, late.stdout) == (1, "not settled: the time is over\n")
        ballast.unlink()
        until(lambda: project.read("total") == [{"n": 11}], "what waited goes on by itself")
        assert project.json("sensors")[0]["error"] is None
        project.land("c.csv", "n\n100\n")
        project.settle()
        assert project.read("total") == [{"n": 111}]
    assert {row["state"] for row in project.json("verify")} == {"ok"}


@pytest.mark.parametrize("what", ["state", "artifacts"])
def test_what_has_an_end_gives_up_on_a_full_disk(tmp_path: Path, small: Path, what: str) -> None:
    ballast = small / "ballast"
    wanted = tmp_path / "wanted"
    call = f"    fill({str(ballast)!r}, {str(wanted)!r})\n    return"
    pipeline = PIPELINE.replace("    return", call)
    project = Living.make(tmp_path / "project", FILL + pipeline, f'{what} = "{small}/{what}"\n')
    patience = ("afresh.daemon.patience", "PATIENCE_SECONDS", 3.0)
    project.command = command_with(tmp_path / "impatient", *patience)
    project.land("a.csv", "n\n1\n")
    assert project.until_idle().returncode == 0
    project.land("b.csv", "n\n10\n")
    wanted.touch()
    done = project.until_idle()
    wanted.unlink()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "gave up" in done.stderr.splitlines()[-1]
    assert any(word in done.stderr.splitlines()[-1] for word in ("space", "full"))
    assert project.read("total") == [{"n": 1}], "what was there is there"
    ballast.unlink()
    project.land("c.csv", "n\n100\n")
    assert project.until_idle().returncode == 0
    assert project.read("total") == [{"n": 111}]
    assert {row["state"] for row in project.json("verify")} == {"ok"}


def test_artifacts_on_a_full_disk(tmp_path: Path, small: Path) -> None:
    project = Living.make(tmp_path / "project", PIPELINE, f'artifacts = "{small}/artifacts"\n')
    project.land("a.csv", "n\n1\n")
    assert project.until_idle().returncode == 0
    with project.running() as daemon:
        ballast = small / "ballast"
        _fill(ballast)
        project.land("b.csv", "n\n10\n")
        # As often as an ingest is tried that fails for another cause.
        until(lambda: daemon.output().count("space") >= 3, "it is loud, and tries on", seconds=60)
        assert project.status("rows[b]")["state"] in ("stale", "running"), "no fault of the file"
        assert project.read("total") == [{"n": 1}], "what was there is there"
        ballast.unlink()
        until(lambda: project.read("total") == [{"n": 11}], "on again by itself")
        assert project.settle() == {"settled": True, "failed": [], "blocked": []}
    assert {row["state"] for row in project.json("verify")} == {"ok"}
