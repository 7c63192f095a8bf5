"""User code that does what it should not: that attempt fails, the rest goes on."""

import json
import time
from pathlib import Path

import pytest

from support.living import Living, until

pytestmark = pytest.mark.e2e

PIPELINE = """
import os, sys, threading, time
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import files

class Row(pa.DataFrameModel):
    mode: str

class Positive(pa.DataFrameModel):
    n: int = pa.Field(gt=0)

orders = source("orders", files("landing/{mode}.csv"), schema=Row)

@asset(partitions="orders", timeout=2.0)
def made(orders: DataFrame[Row]) -> DataFrame[Positive]:
    mode = orders["mode"].iloc[0]
    good = pd.DataFrame({"n": [1, 2, 3]})
    print("begin", mode)
    if mode == "raises":
        raise RuntimeError("no such luck")
    if mode == "hangs":
        while True:
            time.sleep(1)
    if mode == "exits":
        os._exit(7)
    if mode == "sysexit":
        sys.exit(3)
    if mode == "prints":
        line = "x" * 1023 + "\\n"
        for _ in range(100_000):
            sys.stdout.write(line)
    if mode == "chdir":
        os.chdir("/")
    if mode == "threads":
        for _ in range(50):
            threading.Thread(target=time.sleep, args=(1000,), daemon=False).start()
    if mode == "memory":
        hoard = []
        while True:
            hoard.append(bytearray(1 << 30))
    if mode == "kills":
        os.kill(os.getpid(), 9)
    if mode == "none":
        return None
    if mode == "invalid":
        return pd.DataFrame({"n": [-i for i in range(1, 501)]})
    if mode == "relative":
        return pd.DataFrame({"n": [len(os.getcwd())]})
    return good

@asset(partitions="made")
def after(made: DataFrame[Positive]) -> pd.DataFrame:
    return made
"""

FAILS = {
    "raises": ["RuntimeError", "no such luck", "pipeline.py"],
    "hangs": ["2"],
    "exits": ["7"],
    "sysexit": ["3"],
    "memory": ["emory"],
    "kills": ["SIGKILL"],
    "none": ["None"],
    "invalid": ["n", "greater"],
}
WELL = ("prints", "chdir", "threads", "relative")


def test_what_code_does_costs_its_own_attempt_alone(tmp_path: Path) -> None:
    project = Living.make(tmp_path / "project", PIPELINE, "workers = 2\n")
    with project.running() as daemon:
        for mode in FAILS:
            project.land(f"{mode}.csv", "mode\nfine\n")
        assert not project.settle()["failed"]
        for mode in [*FAILS, *WELL]:
            project.land(f"{mode}.csv", f"mode\n{mode}\n")
        asked_at = time.monotonic()
        project.status("made[hangs]")
        assert time.monotonic() - asked_at < 10.0, "the loop is never blocked"
        answer = project.settle()
        assert set(answer["failed"]) == {f"made[{mode}]" for mode in FAILS}
        assert set(answer["blocked"]) == {f"after[{mode}]" for mode in FAILS}
        for mode, said in FAILS.items():
            _check_failed(project, mode, said)
        for mode in WELL:
            assert project.status(f"after[{mode}]")["state"] == "fresh"
        _check_failure_cases(project)
        _check_output(project, daemon.pid)
        for mode in FAILS:
            project.land(f"{mode}.csv", "mode\nfine again\n")
        assert not project.settle()["failed"]
    assert project.staged() == set()


def _check_failed(project: Living, mode: str, said: list[str]) -> None:
    unit = f"made[{mode}]"
    row = project.status(unit)
    assert (row["state"], row["version"]) == ("failed", 1), "the last good stays"
    runs = project.runs(unit)
    assert [run["state"] for run in runs[:-1]] == ["succeeded"]
    assert runs[-1]["state"] == ("rejected" if mode in ("invalid", "none") else "failed")
    of_unit = "select failed_run from unit where asset = 'made' and partition = ?"
    assert project.rows(of_unit, mode) == [(runs[-1]["run"],)]
    why = project.why(unit)
    assert [word for word in said if word not in f"{why}{runs[-1]['error']}"] == []
    logs = project.run("logs", runs[-1]["run"]).stdout
    assert f"begin {mode}" in logs
    if mode == "raises":
        assert "Traceback" in logs
        assert "raise RuntimeError" in logs
    assert project.versions(f"after[{mode}]") == [1]
    assert len(project.runs(f"after[{mode}]")) == 1, "nothing downstream runs"


def _check_failure_cases(project: Living) -> None:
    ((cases, total),) = project.rows(
        "select cases, total from rejection where asset = 'made' and partition = 'invalid'"
    )
    assert total == 500
    assert len(json.loads(cases)) == 100


def _check_output(project: Living, pid: int) -> None:
    run = project.runs("made[prints]")[-1]["run"]
    log = project.state / "logs" / f"{run}.log"
    assert 1 << 20 < log.stat().st_size < 64 << 20, "output is kept up to a cap"
    assert "begin prints" in project.run("logs", run).stdout[:2000]
    assert Path(f"/proc/{pid}").exists()


def test_a_failed_attempt_is_tried_again_as_declared(tmp_path: Path) -> None:
    pipeline = """
import pandas as pd
from pathlib import Path
from afresh import asset, source
from afresh.assets.manifest import Retry
from afresh.sensors import files

numbers = source("numbers", files("landing/numbers.csv"))

@asset(retries=Retry(attempts=3, delay_seconds=0.05))
def flaky(numbers: pd.DataFrame) -> pd.DataFrame:
    tries = Path(COUNTER)
    tries.write_text(tries.read_text() + "x")
    if len(tries.read_text()) % 3:
        raise OSError("not yet")
    return numbers
"""
    counter = tmp_path / "counter"
    counter.write_text("")
    project = Living.make(tmp_path / "project", f"COUNTER = {str(counter)!r}\n{pipeline}")
    project.land("numbers.csv", "n\n1\n")
    assert project.until_idle().returncode == 0
    runs = project.runs("flaky")
    assert [run["state"] for run in runs] == ["failed", "failed", "succeeded"]
    assert [run["attempt"] for run in runs] == [1, 2, 3]


def test_a_run_by_hand_tries_what_failed_and_cancel_ends_it(tmp_path: Path) -> None:
    pipeline = """
import time
import pandas as pd
from pathlib import Path
from afresh import asset, source
from afresh.sensors import files

numbers = source("numbers", files("landing/numbers.csv"))

@asset
def slow(numbers: pd.DataFrame) -> pd.DataFrame:
    while not Path(GATE).exists():
        time.sleep(0.01)
    return numbers
"""
    gate = tmp_path / "gate"
    project = Living.make(tmp_path / "project", f"GATE = {str(gate)!r}\n{pipeline}")
    with project.running():
        project.land("numbers.csv", "n\n1\n")
        row = project.until_state("slow", "running")
        assert row["version"] is None
        (run,) = project.runs("slow")
        assert run["state"] == "running"
        assert project.json("cancel", run["run"])["run"] == run["run"]
        until(lambda: project.runs("slow")[0]["state"] == "cancelled", "cancelled")
        assert project.run("cancel", run["run"], check=False).returncode == 2
        assert project.settle("slow")["failed"] == ["slow"]
        gate.touch()
        (made,) = project.json("materialize", "slow")
        assert (made["state"], made["version"]) == ("fresh", 1)
