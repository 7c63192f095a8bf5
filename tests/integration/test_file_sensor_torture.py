"""P1 for files: whatever is done to a folder, wherever the sensor is cut off, nothing is lost."""

import itertools
import os
import shutil
import threading
from pathlib import Path
from random import Random

import anyio
import anyio.to_thread
import pytest

from afresh.sensors.base import Batch, Identity
from afresh.sensors.folders.look import identity_of
from support.watching import Journal, until, watching

PATTERN = "landing/**/{day}.csv"


class Writer:
    """Does random things to files below a folder, as fast as it can, until stopped."""

    def __init__(self, landing: Path, random: Random) -> None:
        self.landing = landing
        self.random = random
        self.stopped = threading.Event()
        self.done = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                self.random.choice(
                    [
                        self.write,
                        self.write,
                        self.publish,
                        self.append,
                        self.delete,
                        self.move,
                        self.link,
                        self.make,
                        self.move_folder,
                        self.remove_folder,
                    ]
                )()
            except OSError:
                continue
            self.done += 1
            if self.random.random() < 0.05:
                self.stopped.wait(self.random.random() * 0.05)

    def folder(self) -> Path:
        parts = self.random.choices("pqr", k=self.random.randrange(3))
        return self.landing.joinpath(*parts)

    def path(self) -> Path:
        return self.folder() / f"{self.random.randrange(12)}.csv"

    def write(self) -> None:
        self.path().write_text("x" * self.random.randrange(9))

    def publish(self) -> None:
        path = self.path()
        temporary = path.with_name(path.name + ".part")
        temporary.write_text("x" * self.random.randrange(9))
        temporary.rename(path)

    def append(self) -> None:
        with self.path().open("a") as file:
            for _ in range(3):
                file.write("x")
                file.flush()

    def delete(self) -> None:
        self.path().unlink()

    def move(self) -> None:
        self.path().rename(self.path())

    def link(self) -> None:
        os.link(self.path(), self.path())

    def make(self) -> None:
        self.folder().mkdir()

    def move_folder(self) -> None:
        folder = self.folder()
        if folder != self.landing:
            folder.rename(self.folder())

    def remove_folder(self) -> None:
        folder = self.folder()
        if folder != self.landing and self.random.random() < 0.3:
            shutil.rmtree(folder)


def listing(project: Path) -> dict[str, Identity]:
    """What is there, found without any of the code under test."""
    found = {}
    for folder, _, names in os.walk(project / "landing"):
        for name in names:
            if name.endswith(".csv"):
                path = Path(folder, name)
                found[str(path.relative_to(project))] = identity_of(path.lstat())
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_the_journal_ends_equal_to_the_folder(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    journal = Journal()
    for stay in range(80):
        path = tmp_path / "landing" / "stays" / f"s{stay}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    writer = Writer(tmp_path / "landing", random)
    thread = threading.Thread(target=writer.run, daemon=True)
    thread.start()
    try:
        for _ in range(6):
            await run_for_a_while(tmp_path, journal, random)
    finally:
        writer.stopped.set()
        thread.join()
    async with watching(
        tmp_path, PATTERN, journal=journal, known=journal.known, settle_seconds=0.05, check=False
    ) as (sensor, _):
        await until(lambda: sensor.checked or sensor.health.state == "failed")
        await sensor.scan(accept=True)
        await until(lambda: sensor.is_quiet)
        await sensor.scan()
    assert writer.done > 200
    assert journal.known == listing(tmp_path)
    assert_alternating(journal)
    assert_refused(journal)


async def run_for_a_while(project: Path, journal: Journal, random: Random) -> None:
    """Run the sensor, and cut it off anywhere: before, during or after an acknowledgement."""

    class Slow(Journal):
        async def emit(self, batch: Batch) -> None:
            await anyio.sleep(random.random() * 0.01)
            await journal.emit(batch)

    async with watching(
        project, PATTERN, journal=Slow(), known=journal.known, settle_seconds=0.05, check=False
    ):
        await anyio.sleep(0.1 + random.random() * 0.4)


def assert_alternating(journal: Journal) -> None:
    """Only what had arrived is ever taken back."""
    for uri, group in itertools.groupby(sorted(journal.short, key=lambda s: s[1]), lambda s: s[1]):
        kinds = [kind for kind, _ in group]
        present = False
        for kind in kinds:
            assert kind == "arrived" or present, uri
            present = kind == "arrived"


def assert_refused(journal: Journal) -> None:
    """A file alone with its key is data in the end; of several at most one is."""
    last = {arrival.uri: arrival for arrival in journal.arrivals}
    of_key: dict[str | None, list[str]] = {}
    for arrival in last.values():
        if arrival.kind == "arrived":
            of_key.setdefault(arrival.partition, []).append(arrival.problem)
    assert None not in of_key
    for key, problems in of_key.items():
        assert problems.count("") == 1 if len(problems) == 1 else problems.count("") <= 1, key
