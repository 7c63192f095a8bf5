"""kill -9 at random moments between an arrival and its last commit; restart; compare.

    make campaign KILLS=1000 [ARGS="--seed 7 --keep FOLDER"]

Half of the kills come after a random time, the others when an artifact appears: between publish and
commit. A kill that found everything at rest does not count. At least a fifth of those that count
must lie between publish and commit. The seed repeats the deliveries, not the moments.
"""

import argparse
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from benchmarks.reference import Deliveries, Findings, artifacts, compare, named
from support.processes import outliving
from support.project import Daemon, Project, rename_in

HERE = Path(__file__).parent
OUTLIVE_SECONDS = 10.0
LATEST_KILL_SECONDS = 0.3


@dataclass
class Outcome:
    """How a campaign went."""

    kills: int = 0
    between: int = 0
    at_rest: int = 0
    outlived: int = 0
    deliveries: int = 0
    findings: Findings = field(default_factory=Findings)
    verified: bool = False

    @property
    def clean(self) -> bool:
        """Whether all promises held."""
        return self.verified and not self.findings.any() and not self.outlived


class Campaign:
    """One project that is killed again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.project = Project.make(folder, (HERE / "projects/crashes.py").read_text())
        self.chance = random.Random(seed)
        self.delivered = Deliveries()
        self.outcome = Outcome()

    def run(self, kills: int, *, verbose: bool = False) -> Outcome:
        """Kill until there are as many kills, a fifth of them between publish and commit."""
        outcome = self.outcome
        attempts = 0
        while outcome.kills < kills or outcome.between < kills / 5:
            attempts += 1
            if attempts > 6 * kills + 20:
                raise RuntimeError(f"too few kills at the right moment: {outcome}")
            self.round()
            if verbose and attempts % 10 == 0:
                print(f"{outcome.kills} kills, {outcome.between} between", file=sys.stderr)
        self.project.run("up", "--until-idle", check=False)  # the bad days are failed: 1
        outcome.deliveries = self.delivered.count()
        outcome.findings = compare(self.project, self.delivered)
        outcome.verified = self.project.run("verify", check=False).returncode == 0
        return outcome

    def round(self) -> None:
        """Start, deliver, kill, and note where the kill fell."""
        daemon = self.project.start()
        if self.chance.random() < 0.3:
            self.project.run("wait", "--timeout", "30", check=False)
        trigger = self.by_artifact if self.chance.random() < 0.5 else self.by_time
        processes = daemon.tree()
        trigger(daemon)
        daemon.process.wait()
        self.outcome.outlived += len(outliving(processes, OUTLIVE_SECONDS))
        if self.at_rest():
            self.outcome.at_rest += 1
            return
        self.outcome.kills += 1
        if any(map(complete, artifacts(self.project) - named(self.project))):
            self.outcome.between += 1

    def by_time(self, daemon: Daemon) -> None:
        """Deliver, and kill at a random time after the first."""
        delay = self.chance.random() * LATEST_KILL_SECONDS
        killer = threading.Timer(delay, daemon.process.kill)
        killer.start()
        self.deliver()
        killer.join()

    def by_artifact(self, daemon: Daemon) -> None:
        """Deliver, and kill when some artifact appears."""
        assassin = Assassin(daemon.pid, self.chance.randrange(1, 8), self.chance.random() * 0.0015)
        with assassin.lurking(self.project):
            self.deliver()
            if not assassin.done.wait(3):
                daemon.process.kill()

    def deliver(self) -> None:
        """Put a few files into place: new days, overwritten days, now and then a bad one."""
        landing = self.project.folder / "landing"
        for _ in range(self.chance.randrange(1, 9)):
            if self.chance.random() < 0.08:
                day = f"bad{self.chance.randrange(5)}"
                content = self.delivered.next_bad(day)
            else:
                day = f"day{self.chance.randrange(40):02}"
                content = self.delivered.next_good(day, self.chance)
            rename_in(landing / f"{day}.csv", content)
            time.sleep(self.chance.choice([0, 0, 0.005, 0.02]))

    def at_rest(self) -> bool:
        """Whether the kill found nothing under way: all delivered, all recorded, all made."""
        try:
            ((pending, running, behind),) = self.project.rows(
                "select (select count(*) from event where state = 'pending'),"
                " (select count(*) from run where state in ('queued', 'running')),"
                " (select count(*) from unit where asset = 'total' and epoch >="
                "   coalesce((select max(epoch) from version where asset = 'sales'), 0)) = 0"
            )
            recorded = dict(
                self.project.rows("select uri, max(observed_at) from event group by uri")
            )
        except sqlite3.OperationalError:  # killed before there was a ledger
            return False
        landing = self.project.folder / "landing"
        unseen = [
            path
            for path in landing.glob("*.csv")
            if recorded.get(f"landing/{path.name}", 0) < path.stat().st_ctime - 0.05
        ]
        return not (pending or running or behind or unseen)


class Assassin(FileSystemEventHandler):
    """Kills a process when so many artifacts have appeared, a moment later."""

    def __init__(self, pid: int, after: int, delay_seconds: float) -> None:
        self.pid, self.left, self.delay_seconds = pid, after, delay_seconds
        self.done = threading.Event()

    @contextmanager
    def lurking(self, project: Project) -> Iterator[None]:
        """Be told meanwhile of each artifact that appears."""
        folder = project.state / "artifacts"
        folder.mkdir(parents=True, exist_ok=True)
        observer = Observer()
        observer.schedule(self, str(folder), recursive=True)
        observer.start()
        try:
            yield
        finally:
            observer.stop()
            observer.join()

    def on_created(self, event: FileSystemEvent) -> None:
        if event.is_directory or self.done.is_set():
            return
        self.left -= 1
        if self.left <= 0:
            until = time.perf_counter() + self.delay_seconds
            while time.perf_counter() < until:  # sleeping is too coarse
                pass
            os.kill(self.pid, signal.SIGKILL)
            self.done.set()


def complete(path: Path) -> bool:
    """Whether an artifact is whole."""
    try:
        pq.read_metadata(path)
    except Exception:  # noqa: BLE001  anything else is not whole
        return False
    return True


def main() -> int:
    """Run a campaign; 0 if nothing was lost, doubled or torn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--keep", type=Path, help="a new folder that is left to look at")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory(prefix="afresh-campaign-") as scratch:
        folder = arguments.keep or Path(scratch) / "project"
        outcome = Campaign(folder, arguments.seed).run(arguments.kills, verbose=True)
    found = outcome.findings
    for kind in ("lost", "doubled", "torn"):
        for line in getattr(found, kind):
            print(f"{kind}: {line}")
    print(
        f"{outcome.kills} kills ({outcome.between} between publish and commit; {outcome.at_rest}"
        f" more at rest, not counted), {outcome.deliveries} deliveries:"
        f" {len(found.lost)} lost, {len(found.doubled)} doubled, {len(found.torn)} torn,"
        f" {outcome.outlived} processes outlived the daemon,"
        f" afresh verify: {'passed' if outcome.verified else 'failed'}"
    )
    return int(not outcome.clean)


if __name__ == "__main__":
    sys.exit(main())
