"""A pool of real workers over a project on disk."""

# Processes are looked at until they are as they should be.
# ruff: noqa: ASYNC110

from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pyarrow.parquet as pq

from afresh.daemon.workers.pool import WorkerPool
from afresh.daemon.workers.task import (
    Failed,
    Result,
    Target,
    Task,
    Written,
)
from support.processes import is_alive

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
# As some modules have it: then nobody is told how a child ended.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)

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
def splits(context: Context) -> pd.DataFrame:
    child = os.fork()
    if not child:
        sys.exit(5)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return pd.DataFrame({"a": [code]})

@asset
def stabs(context: Context) -> pd.DataFrame:
    stray = subprocess.Popen(["sleep", "600"], start_new_session=True)
    print(stray.pid)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
"""


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


async def gone(*pids: int, seconds: float = 60.0) -> bool:
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
