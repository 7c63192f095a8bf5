"""A custom sensor in a real daemon: each row once, whatever is killed; new code starts it anew."""

import os
import signal
from pathlib import Path

import pytest

from support.living import Living, until
from support.processes import outliving

pytestmark = pytest.mark.e2e

PIPELINE = """
import os
import anyio
from afresh import asset, source
from afresh.sensors import custom, files


async def numbers(cursor):
    open("pid", "w").write(str(os.getpid()))
    while cursor < LIMIT:
        yield [{"n": cursor}], cursor + 1
        cursor += 1
        await anyio.sleep(0.01)


numbered = source("numbered", custom(numbers, start=0, every="100ms"))
"""


def values(project: Living) -> list[int]:
    done = project.run("read", "numbered", "--as", "csv", check=False)
    return [int(line) for line in done.stdout.splitlines()[1:]] if done.returncode == 0 else []


def make(folder: Path, limit: int) -> Living:
    return Living.make(folder / "p", PIPELINE.replace("LIMIT", str(limit)))


def test_each_row_is_published_once_whatever_is_killed(tmp_path: Path) -> None:
    project = make(tmp_path, 1 << 30)
    pid = project.folder / "pid"
    seen: list[int] = []

    def more() -> bool:
        found = values(project)
        assert found == list(range(len(found)))
        return len(found) > len(seen) + 30

    for _ in range(2):
        with project.running() as daemon:
            seen = values(project)
            until(more)
            process = int(pid.read_text())
            daemon.kill()
            assert outliving([process], 30.0) == []
    with project.running():
        seen = values(project)
        os.kill(int(pid.read_text()), signal.SIGKILL)
        until(more)
        project.run("sensors", "pause", "numbered")
        project.settle()
        (row,) = project.json("sensors")
        assert row["kind"] == "custom"
        assert values(project) == list(range(int(row["cursor"])))


def test_a_sensor_that_fails_costs_itself_and_new_code_mends_it(tmp_path: Path) -> None:
    project = make(tmp_path, 5)
    code = (project.folder / "pipeline.py").read_text()
    broken = code.replace("while cursor", "1 / 0\n    while cursor")
    broken += '\nothers = source("others", files("landing/{day}.csv"))\n'
    (project.folder / "pipeline.py").write_text(broken)
    with project.running():
        row = until(
            lambda: next((r for r in project.json("sensors") if r["state"] == "failed"), None)
        )
        assert row["sensor"] == "numbered"
        assert "ZeroDivisionError" in row["error"]
        assert "pipeline.py:10" in row["error"]
        project.land("k1.csv", "a\n1\n")
        project.settle()
        assert project.status("others[k1]")["state"] == "fresh"
        (project.folder / "pipeline.py").write_text(code)
        until(lambda: values(project) == list(range(5)))
        assert project.json("sensors")[0]["state"] == "watching"
