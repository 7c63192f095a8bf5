"""Workers as real processes: what user code does costs its own attempt, and nothing else."""
# Processes are looked at until they are as they should be.
# ruff: noqa: ASYNC110

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pyarrow.parquet as pq
import pytest

from afresh.assets.errors import WorkerError
from afresh.daemon.workers.pool import WorkerPool
from afresh.daemon.workers.task import (
    Failed,
    Part,
    Rejected,
    Result,
    Target,
    Task,
    TaskInput,
    Written,
)

pytestmark = pytest.mark.integration

DEFINITIONS = """
import os, signal, subprocess, sys, threading, time
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import Context, asset, source
from afresh.sensors import files

class Flight(pa.DataFrameModel):
    carrier: str
    delay: float = pa.Field(nullable=True, lt=1000)

class Delay(pa.DataFrameModel):
    carrier: str = pa.Field(unique=True)
    delay: float

flights = source("flights", files("landing/{day}.csv"), schema=Flight)

@asset(partitions="flights")
def delays(flights: DataFrame[Flight], context: Context) -> DataFrame[Delay]:
    context.add_metadata(rows=len(flights))
    return flights.groupby("carrier", as_index=False).agg(delay=("delay", "mean"))

@asset
def everything(flights: DataFrame[Flight]) -> pd.DataFrame:
    return flights

@asset(outputs={"good": Delay, "bad": Delay})
def both(context: Context) -> tuple[DataFrame[Delay], DataFrame[Delay]]:
    good = pd.DataFrame({"carrier": ["AA"], "delay": [1.0]})
    return good, pd.DataFrame({"carrier": ["AA", "AA"], "delay": [1.0, 2.0]})

@asset
def pid(context: Context) -> pd.DataFrame:
    facts = {"pid": os.getpid(), "parent": os.getppid(), "cwd": os.getcwd(),
             "env": os.environ.get("LEFT", ""), "seed": __import__("numpy").random.rand()}
    return pd.DataFrame({name: [value] for name, value in facts.items()})

@asset
def raises(context: Context) -> pd.DataFrame:
    print("one")
    context.logger.info("two")
    print("three", file=sys.stderr)
    os.write(1, b"four\\n")
    raise ValueError("no way")  # here

@asset
def exits(context: Context) -> pd.DataFrame:
    print("last words")
    os._exit(3)

@asset
def leaves(context: Context) -> pd.DataFrame:
    sys.exit("enough")

@asset
def dies(context: Context) -> pd.DataFrame:
    os.kill(os.getpid(), signal.SIGKILL)

@asset
def crashes(context: Context) -> pd.DataFrame:
    import ctypes
    ctypes.string_at(0)

@asset
def hangs(context: Context) -> pd.DataFrame:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"])
    stray = subprocess.Popen(["sleep", "600"], start_new_session=True)
    print(child.pid, stray.pid)
    while True:
        pass

@asset
def eats(context: Context) -> pd.DataFrame:
    return pd.DataFrame({"a": [len([bytearray(1 << 28) for _ in range(64)])]})

@asset
def untidy(context: Context) -> pd.DataFrame:
    os.chdir("/")
    os.umask(0)
    os.environ["LEFT"] = "behind"
    return pd.DataFrame({"pid": [os.getpid()]})

@asset
def threads(context: Context) -> pd.DataFrame:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return pd.DataFrame({"pid": [os.getpid()]})

@asset
def strays(context: Context) -> pd.DataFrame:
    stray = subprocess.Popen(["sleep", "600"], start_new_session=True)
    return pd.DataFrame({"pid": [os.getpid()], "stray": [stray.pid]})

@asset
def floods(context: Context) -> pd.DataFrame:
    piece = b"x" * 65535 + b"\\n"
    for _ in range(480):
        os.write(1, piece)
    return pd.DataFrame({"a": [1]})

@asset
def waits(context: Context) -> pd.DataFrame:
    while not os.path.exists("go"):
        time.sleep(0.005)
    return pd.DataFrame({"a": [1]})

@asset
def closes(context: Context) -> pd.DataFrame:
    sys.stdout.close()
    sys.stderr = None
    os.close(1)
    raise ValueError("\\udcff")

@asset
def forks(context: Context) -> pd.DataFrame:
    os.fork()
    return pd.DataFrame({"a": [1]})

@asset
def stabs(context: Context) -> pd.DataFrame:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Project:
    """A project on disk, and a pool that runs it."""

    def __init__(self, root: Path, pool: WorkerPool) -> None:
        self.root = root
        self.pool = pool
        self._ids = (f"run{number}" for number in count())

    async def run(self, name: str, *outputs: str, **more: Any) -> Result:
        return await self.pool.run(self.task(name, *outputs, **more))

    def task(self, name: str, *outputs: str, **more: Any) -> Task:
        run = next(self._ids)
        folder = self.root / ".afresh/artifacts"
        targets = tuple(Target(o, f"{folder}/{run}-{o}.parquet") for o in outputs or (name,))
        kind: Any = "ingest" if "path" in more else "run"
        return Task(run, kind, name, more.pop("partition", ""), 1, targets, **more)

    async def facts(self, name: str) -> dict[str, Any]:
        """Run a function, read what it wrote, and give its first row."""
        return self.read(only(await self.run(name)))

    def read(self, written: Written) -> dict[str, Any]:
        row: dict[str, Any] = pq.read_table(written.uri).to_pylist()[0]
        return row

    def log(self, result: Result) -> str:
        return (self.root / f".afresh/logs/{result.run}.log").read_text()


def only(result: Result) -> Written:
    assert result.failed is None, result.failed
    (output,) = result.outputs
    assert isinstance(output, Written), output
    return output


def failed(result: Result) -> Failed:
    assert result.failed is not None, result.outputs
    return result.failed


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def gone(*pids: int, seconds: float = 1.0) -> bool:
    with anyio.move_on_after(seconds):
        while any(map(is_alive, pids)):
            await anyio.sleep(0.005)
    return not any(map(is_alive, pids))


def write_project(root: Path, text: str = DEFINITIONS) -> Path:
    root.mkdir(exist_ok=True)
    (root / "pipeline.py").write_text(text)
    return root


def pool_of(root: Path, **more: Any) -> WorkerPool:
    state = root / ".afresh"
    return WorkerPool(state_dir=state, size=2, log_dir=state / "logs", **more)


@pytest.fixture(scope="module")
async def project(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    root = write_project(tmp_path_factory.mktemp("workers"))
    async with pool_of(root, memory_limit_bytes=3 << 29) as pool:
        manifest = await pool.load(str(root), "first", ["pipeline"], {})
        assert manifest.problems == ()
        await pool.activate("first")
        yield Project(root, pool)


@pytest.fixture
def landed(project: Project) -> Iterator[Path]:
    path = project.root / "2013-01-01.csv"
    path.write_text("carrier,delay\nAA,1.5\nAA,2.5\nAA,\nNA,7\n")
    yield path
    path.unlink(missing_ok=True)


async def test_a_file_becomes_a_version_and_a_function_reads_it(
    project: Project, landed: Path
) -> None:
    result = await project.run("flights", path=str(landed), partition="2013-01-01")
    source = only(result)
    assert (source.rows, set(source.columns)) == (4, {"carrier", "delay"})
    assert result.identity is not None
    assert result.identity.size == landed.stat().st_size
    part = Part("2013-01-01", 1, source.uri, source.hash, source.rows)
    inputs = (TaskInput("flights", "flights", (part,)),)
    written = only(await project.run("delays", partition="2013-01-01", inputs=inputs))
    assert written.metadata == {"rows": "4"}
    assert project.read(written) == {"carrier": "AA", "delay": 2.0}
    whole = only(
        await project.run("everything", inputs=(TaskInput("flights", "flights", (part, part)),))
    )
    assert whole.rows == 8


async def test_equal_content_is_not_written_again(project: Project, landed: Path) -> None:
    first = only(await project.run("flights", path=str(landed), partition="2013-01-01"))
    known = {"flights": first.fingerprint}
    again = only(
        await project.run("flights", path=str(landed), partition="2013-01-01", known=known)
    )
    assert (again.fingerprint, again.uri) == (first.fingerprint, "")


async def test_data_that_breaks_the_schema_is_rejected_and_kept(
    project: Project, landed: Path
) -> None:
    landed.write_text("carrier,delay\nAA,1\nAA,5000\n")
    result = await project.run("flights", path=str(landed), partition="2013-01-01")
    (rejected,) = result.outputs
    assert isinstance(rejected, Rejected)
    assert rejected.cases[0]["value"].startswith("5000")
    assert Path(rejected.uri).is_relative_to(project.root / ".afresh/rejected")
    assert Path(rejected.uri).exists()


async def test_a_file_that_is_gone_or_unreadable(project: Project, landed: Path) -> None:
    landed.write_text("carrier,delay\nAA,much\n")
    result = await project.run("flights", path=str(landed), partition="2013-01-01")
    assert failed(result).kind == "unreadable"
    landed.unlink()
    result = await project.run("flights", path=str(landed), partition="2013-01-01")
    assert failed(result).kind == "vanished"


async def test_each_output_is_valid_or_not_on_its_own(project: Project) -> None:
    result = await project.run("good", "good", "bad")
    good, bad = result.outputs
    assert isinstance(good, Written)
    assert isinstance(bad, Rejected)
    assert "unique" in bad.error or "unique" in str(bad.cases)


async def test_an_exception_names_its_line_and_what_was_printed_is_in_order(
    project: Project,
) -> None:
    result = await project.run("raises")
    line = 1 + next(i for i, text in enumerate(DEFINITIONS.split("\n")) if "# here" in text)
    found = failed(result)
    assert (found.kind, found.where, found.exception) == (
        "raised",
        f"pipeline.py:{line}",
        "ValueError",
    )
    assert found.error == "ValueError: no way"
    log = project.log(result)
    places = [log.index(word) for word in ("one", "two", "three", "four", "Traceback", "no way")]
    assert places == sorted(places)
    assert f'File "{project.root}/pipeline.py", line {line}, in raises' in log
    assert "execute.py" not in log


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("exits", "exited", "exit code 3"),
        ("leaves", "exited", "sys.exit('enough')"),
        ("dies", "killed", "SIGKILL"),
        ("crashes", "killed", "SIGSEGV"),
        ("eats", "memory", "memory"),
    ],
)
async def test_a_worker_that_ends_costs_its_own_attempt(
    project: Project, name: str, kind: str, words: str
) -> None:
    results: dict[str, Result] = {}
    (project.root / "go").unlink(missing_ok=True)

    async def run(other: str) -> None:
        results[other] = await project.run(other)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, "waits")
        await run(name)
        (project.root / "go").touch()
    found = failed(results[name])
    assert found.kind == kind
    assert words in found.error
    only(results["waits"])
    if name == "exits":
        assert project.log(results[name]).startswith("last words\n")


async def test_a_timeout_ends_the_attempt_and_all_that_it_started(project: Project) -> None:
    started = time.monotonic()
    result = await project.run("hangs", timeout_seconds=0.3)
    assert time.monotonic() - started < 2
    assert failed(result).kind == "timeout"
    pids = [int(pid) for pid in project.log(result).split("\n")[0].split()]
    assert len(pids) == 2
    assert await gone(*pids)


async def test_a_cancelled_attempt_is_ended(project: Project) -> None:
    task = project.task("hangs")
    log = project.root / f".afresh/logs/{task.run}.log"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(project.pool.run, task)
        while not (log.exists() and "\n" in log.read_text()):
            await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()
    pids = [int(pid) for pid in log.read_text().split("\n")[0].split()]
    assert await gone(*pids)
    assert project.pool.free == project.pool.size


async def test_a_worker_is_used_again_and_finds_nothing_of_the_attempt_before(
    project: Project,
) -> None:
    pids, seeds = set(), set()
    for _ in range(4):
        only(await project.run("untidy"))
        facts = await project.facts("pid")
        pids.add(facts["pid"])
        seeds.add(facts["seed"])
        assert (facts["cwd"], facts["env"]) == (str(project.root), "")
    assert len(pids) <= 2
    assert len(seeds) == 4


@pytest.mark.parametrize("name", ["threads", "strays"])
async def test_a_worker_that_left_something_running_does_no_other_task(
    project: Project, name: str
) -> None:
    facts = await project.facts(name)
    assert await gone(*facts.values())


async def test_a_flood_is_cut_off_and_counted(project: Project) -> None:
    result = await project.run("floods")
    only(result)
    path = project.root / f".afresh/logs/{result.run}.log"
    assert 10 * 2**20 < path.stat().st_size < 10 * 2**20 + 200
    dropped = 480 * 65536 - 10 * 2**20
    assert path.read_text().endswith(
        f"... {dropped} more bytes were dropped: a log holds 10485760\n"
    )


async def test_what_prints_nothing_has_no_log(project: Project) -> None:
    result = await project.run("pid")
    assert not (project.root / f".afresh/logs/{result.run}.log").exists()


async def test_user_code_that_closes_its_output_or_comes_back_twice(project: Project) -> None:
    result = await project.run("closes")
    assert failed(result).error == "ValueError: \\udcff"
    assert only(await project.run("forks")).rows == 1
    assert (await project.facts("pid"))["cwd"] == str(project.root)


async def test_a_base_that_is_killed_is_replaced(project: Project) -> None:
    with anyio.fail_after(20):
        while len(project.pool.pids) < 3:
            await anyio.sleep(0.005)
    before = project.pool.pids
    os.kill(before[0], signal.SIGKILL)
    assert await gone(*before)
    with anyio.fail_after(20):
        while not set(before).isdisjoint(project.pool.pids):
            await anyio.sleep(0.005)
        only(await project.run("pid"))
    assert set(project.pool.pids).isdisjoint(before)


async def test_a_server_that_is_killed_is_replaced(project: Project) -> None:
    result = await project.run("stabs")
    assert failed(result).kind == "killed"
    with anyio.fail_after(10):
        only(await project.run("pid"))


async def test_a_new_generation_takes_over_and_the_old_one_ends_its_work(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p")
    async with pool_of(root) as pool:
        project = Project(root, pool)
        await pool.load(str(root), "old", ["pipeline"], {})
        await pool.activate("old")
        old = await project.facts("pid")
        results = []

        async def wait() -> None:
            results.append(await project.run("waits"))

        newer = write_project(tmp_path / "q", DEFINITIONS.replace('"env": ', '"new": 1, "env": '))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await pool.load(str(newer), "new", ["pipeline"], {})
            await pool.activate("new")
            facts = await project.facts("pid")
            assert facts["new"] == 1
            assert facts["parent"] != old["parent"]
            assert is_alive(old["parent"])
            (root / "go").touch()
        only(results[0])
        assert await gone(old["parent"])


async def test_modules_that_end_the_process_refuse_the_load(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p")
    worse = write_project(tmp_path / "q", "import os\nprint('so long', flush=True)\nos._exit(0)\n")
    async with pool_of(root) as pool:
        await pool.load(str(root), "old", ["pipeline"], {})
        await pool.activate("old")
        with pytest.raises(WorkerError, match="ended the process"):
            await pool.load(str(worse), "worse", ["pipeline"], {})
        assert "so long" in (root / ".afresh/logs/definitions-worse.log").read_text()
        only(await Project(root, pool).run("pid"))


async def test_modules_that_hang_refuse_the_load(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", "while True:\n    pass\n")
    async with pool_of(root, load_timeout_seconds=2.0) as pool:
        with pytest.raises(WorkerError, match=r"load in 2 s"):
            await pool.load(str(root), "hangs", ["pipeline"], {})
        children = Path(f"/proc/{pool.pids[0]}/task/{pool.pids[0]}/children")
        with anyio.fail_after(20):
            while children.read_text():
                await anyio.sleep(0.005)


async def test_modules_that_start_threads_are_named_and_work_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = DEFINITIONS + "\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    root = write_project(tmp_path / "p", text)
    async with pool_of(root) as pool:
        await pool.load(str(root), "threads", ["pipeline"], {})
        await pool.activate("threads")
        assert f"pipeline.py:{text.count(chr(10))}" in caplog.text
        only(await Project(root, pool).run("pid"))


POLARS = """
import pandera.polars as pa
import polars as pl
from pandera.typing.polars import DataFrame, LazyFrame
import helper
from afresh import Context, asset

class Row(pa.DataFrameModel):
    a: int = pa.Field(ge=0)

@asset
def rows(context: Context) -> DataFrame[Row]:
    return pl.DataFrame({"a": [1, 2]})

@asset
def total(rows: LazyFrame[Row]) -> DataFrame[Row]:
    return rows.sum().collect()
"""
USED = "import polars as pl\nUSED = pl.DataFrame({'a': [1]}).lazy().sum().collect()\n"


@pytest.mark.parametrize("helper", ["", USED])
async def test_polars_works_in_workers_also_when_it_was_used_on_import(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, helper: str
) -> None:
    root = write_project(tmp_path / "p", POLARS)
    (root / "helper.py").write_text(helper)
    async with pool_of(root) as pool:
        project = Project(root, pool)
        manifest = await pool.load(str(root), "polars", ["pipeline"], {})
        assert manifest.problems == ()
        await pool.activate("polars")
        assert ("found that helper.py (" in caplog.text) == bool(helper)
        with anyio.fail_after(30):
            rows = only(await project.run("rows"))
            inputs = (TaskInput("rows", "rows", (Part("", 1, rows.uri, rows.hash, 2),)),)
            total = only(await project.run("total", inputs=inputs))
        assert project.read(total) == {"a": 3}


DAEMON = """
import sys, anyio
from afresh.daemon.workers.pool import WorkerPool
from afresh.daemon.workers.task import Target, Task

async def main(root):
    async with WorkerPool(state_dir=root + "/.afresh", size=2, log_dir=root + "/logs") as pool:
        await pool.load(root, "d", ["pipeline"], {})
        await pool.activate("d")
        async with anyio.create_task_group() as tasks:
            for run in ("a", "b"):
                target = Target("hangs", f"{root}/{run}.parquet")
                tasks.start_soon(pool.run, Task(run, "run", "hangs", "", 1, (target,)))
            while len(pool.pids) < 3:
                await anyio.sleep(0.01)
            print(*pool.pids, flush=True)

anyio.run(main, sys.argv[1])
"""


async def test_everything_ends_with_a_daemon_that_is_killed(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p")
    command = [sys.executable, "-c", DAEMON, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:  # noqa: ASYNC220
        assert daemon.stdout is not None
        pids = [int(pid) for pid in daemon.stdout.readline().split()]
        logs = [root / f"logs/{run}.log" for run in ("a", "b")]
        with anyio.fail_after(20):
            while not all(log.exists() and "\n" in log.read_text() for log in logs):
                await anyio.sleep(0.01)
        for log in logs:
            pids += map(int, log.read_text().split())
        assert len(pids) == 7
        assert all(map(is_alive, pids))
        os.kill(daemon.pid, signal.SIGKILL)
        assert await gone(*pids)
