"""Workers as real processes: what user code does costs its own attempt, and nothing else."""
# Processes are looked at until they are as they should be.
# ruff: noqa: ASYNC110

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from afresh.daemon.workers.task import (
    Part,
    Rejected,
    Result,
    TaskInput,
    Written,
)
from support.pools import DEFINITIONS, Project, failed, gone, only, pool_of, write_project
from support.processes import is_alive, within_block

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


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


async def test_a_worker_is_lent_while_all_wait_for_a_server(project: Project) -> None:
    pool, lent = project.pool, []
    pool.on_lent = lambda: lent.append(pool.lent)
    before = len(pool.pids)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(pool.run, project.task("waits", outside=True))
        with anyio.fail_after(60):
            while pool.free:
                await anyio.sleep(0.01)
            started = time.monotonic()
            await project.facts("pid")
            assert time.monotonic() - started > 0.5
            later = []
            for _ in range(3):
                started = time.monotonic()
                await project.facts("pid")
                later.append(time.monotonic() - started)
            assert min(later) < 0.5
        (project.root / "go").touch()
    (project.root / "go").unlink()
    assert (max(lent), lent[-1]) == (2, 0)
    pool.on_lent = lambda: None
    with anyio.fail_after(60):
        while len(pool.pids) > before:
            await anyio.sleep(0.01)
    await project.facts("pid")
    assert len(pool.pids) == before


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
    with anyio.fail_after(60):
        result = await project.run("hangs", timeout_seconds=0.3)
    assert failed(result).kind == "timeout"
    pids = [int(pid) for pid in project.log(result).split("\n")[0].split()]
    assert len(pids) == 2
    assert await gone(*pids)


async def test_a_cancelled_attempt_is_ended(project: Project) -> None:
    task = project.task("hangs")
    log = project.root / f".afresh/logs/{task.run}.log"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(project.pool.run, task)
        with anyio.fail_after(60):
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
    assert (await project.facts("splits"))["a"] == 5
    assert (await project.facts("pid"))["cwd"] == str(project.root)


async def test_a_base_that_is_killed_is_replaced(project: Project) -> None:
    with anyio.fail_after(60):
        while len(project.pool.pids) < 3:
            await anyio.sleep(0.005)
    before = project.pool.pids
    os.kill(before[0], signal.SIGKILL)
    assert await gone(*before)
    with anyio.fail_after(60):
        while not set(before).isdisjoint(project.pool.pids):
            await anyio.sleep(0.005)
        only(await project.run("pid"))
    assert set(project.pool.pids).isdisjoint(before)


async def test_a_server_that_is_killed_is_replaced(project: Project) -> None:
    result = await project.run("stabs")
    assert failed(result).kind == "killed"
    assert await gone(int(project.log(result).split()[0]))
    with anyio.fail_after(60):
        only(await project.run("pid"))


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
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    with within_block(started) as daemon:
        assert daemon.stdout is not None
        pids = [int(pid) for pid in daemon.stdout.readline().split()]
        logs = [root / f"logs/{run}.log" for run in ("a", "b")]
        with anyio.fail_after(60):
            while not all(log.exists() and "\n" in log.read_text() for log in logs):
                await anyio.sleep(0.01)
        for log in logs:
            pids += map(int, log.read_text().split())
        assert len(pids) == 7
        assert all(map(is_alive, pids))
        os.kill(daemon.pid, signal.SIGKILL)
        assert await gone(*pids)
