"""Generations of definitions in real processes: loaded, replaced, refused."""
# Processes are looked at until they are as they should be.
# ruff: noqa: ASYNC110

from pathlib import Path

import anyio
import pytest

from afresh.assets.errors import WorkerError
from afresh.daemon.workers.task import (
    Part,
    TaskInput,
)
from support.pools import DEFINITIONS, Project, failed, gone, only, pool_of, write_project
from support.processes import is_alive

pytestmark = pytest.mark.integration


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


async def test_what_waits_for_a_worker_is_not_done_by_other_definitions(tmp_path: Path) -> None:
    """Else what new code makes would be known by the run key of the code before."""
    root = write_project(tmp_path / "p")
    async with pool_of(root) as pool:
        project = Project(root, pool)
        await pool.load(str(root), "old", ["pipeline"], {})
        await pool.activate("old")
        results = {}

        async def run(number: int, name: str) -> None:
            results[number] = await project.run(name)

        newer = write_project(tmp_path / "q", DEFINITIONS)
        async with anyio.create_task_group() as tasks:
            for number, name in enumerate(["waits", "waits", "pid"]):
                tasks.start_soon(run, number, name)
            with anyio.fail_after(60):
                while pool._checkout.waiting != 1:
                    await anyio.sleep(0.005)
            await pool.load(str(newer), "new", ["pipeline"], {})
            await pool.activate("new")
            with anyio.fail_after(60):
                while 2 not in results:
                    await anyio.sleep(0.005)
            assert failed(results[2]).kind == "displaced"
            await project.facts("pid")
            (root / "go").touch()
        only(results[0])
        only(results[1])


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
        with anyio.fail_after(60):
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
        with anyio.fail_after(60):
            rows = only(await project.run("rows"))
            inputs = (TaskInput("rows", "rows", (Part("", 1, rows.uri, rows.hash, 2),)),)
            total = only(await project.run("total", inputs=inputs))
        assert project.read(total) == {"a": 3}
