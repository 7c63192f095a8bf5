"""The installed command where its output cannot go, or goes where little is possible."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.commands import project_with_story
from support.ledgers import event
from support.living import Living
from support.processes import within_block
from support.project import AFRESH
from support.views import put

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

numbers = source("numbers", files("landing/{k}.csv"))

@asset
def checked(numbers: pd.DataFrame) -> pd.DataFrame:
    print("checked ran")
    if (numbers["n"] < 0).any():
        raise ValueError("negative")
    return numbers
"""
SECONDS = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a project whose journal is longer than a pipe."""
    made = project_with_story(tmp_path)
    put(made / ".afresh" / "ledger.sqlite", {"event": [event(seq) for seq in range(10, 2000)]})
    return made


def afresh(folder: Path, *command: str) -> list[str]:
    return [AFRESH, *command, "--project", str(folder)]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_reader_that_has_seen_enough_is_no_failure(folder: Path, form: tuple[str, ...]) -> None:
    started = subprocess.Popen(
        afresh(folder, "events", *form), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with within_block(started) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(SECONDS) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_failed_has_failed_whoever_reads_it(folder: Path, form: tuple[str, ...]) -> None:
    """`verify` finds that the artifacts of the story were never written."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        afresh(folder, "verify", *form), stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    "command", [("status",), ("lineage", "total", "--as", "dot"), ("logs", "r08")]
)
def test_a_full_disk_is_told_once(folder: Path, command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            afresh(folder, *command, "--json"), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert "No space left" in json.loads(done.stderr)["error"]


def test_a_terminal_without_a_size_is_one(folder: Path) -> None:
    """As `docker exec -t` makes them: of no rows and no columns."""
    master, slave = os.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    done = subprocess.run(
        afresh(folder, "status"), stdout=slave, env=environment, timeout=SECONDS, check=False
    )
    os.close(slave)
    assert done.returncode == 0
    assert b"daily" in os.read(master, 10_000)
    os.close(master)


def test_what_an_encoding_cannot_write_is_escaped(folder: Path) -> None:
    done = subprocess.run(
        afresh(folder, "lineage", "total"),
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert b"\\u2514\\u2500 daily[k2]@1" in done.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_files_of_ours(tmp_path: Path, closed: str) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    (project.folder / "landing" / "a.csv").write_text("n\n-1\n")
    shell = f'exec "$0" "$@" {closed}'
    command = ["sh", "-c", shell, *afresh(project.folder, "up", "--until-idle")]
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (1, b"")
    project.land("a.csv", "n\n1\n")
    assert project.until_idle().returncode == 0
    assert project.run("verify").returncode == 0


@pytest.mark.parametrize("place", ["a pipe that nobody reads", "a disk without room"])
def test_a_daemon_that_cannot_print_says_how_it_went(tmp_path: Path, place: str) -> None:
    project = Living.make(tmp_path / "project", PIPELINE)
    (project.folder / "landing" / "a.csv").write_text("n\n-1\n")
    if place == "a disk without room":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, output = os.pipe()
        os.close(reading)
    done = subprocess.run(
        afresh(project.folder, "up", "--until-idle"),
        stdout=output,
        stderr=subprocess.PIPE,
        check=False,
        timeout=SECONDS,
    )
    os.close(output)
    assert (done.returncode, done.stderr) == (1, b"")
