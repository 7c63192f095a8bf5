"""A watched root while sensors come and go."""

import pytest

from afresh.assets.partition import Pattern
from afresh.sensors.folders.due_times import DueTimes
from afresh.sensors.folders.folder import Folder
from afresh.sensors.folders.owners import Owners
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.watcher import FolderWatcher

pytestmark = pytest.mark.anyio


def a_sensor(name: str, pattern: str) -> FileSensor:
    watcher = FolderWatcher("/p", now=lambda: 0.0)
    return FileSensor(name=name, pattern=Pattern.parse(pattern), watcher=watcher)


async def test_a_path_is_reported_by_the_first_that_is_there() -> None:
    folder = Folder("/p/in", "/p", DueTimes())
    owners = Owners("/p", {"/p/in": folder})
    one, two = a_sensor("one", "in/{x}.csv"), a_sensor("two", "in/**/{x}.json")
    folder.sensors = {"two": two, "one": one}
    assert owners.reporter("/p/in/a.txt") is one
    assert owners.reporter("/p/in/deep/a.txt") is one
    folder.sensors = {}
    assert owners.reporter("/p/in/a.txt") is None


async def test_sensors_may_leave_while_a_thread_asks() -> None:
    folder = Folder("/p/in", "/p", DueTimes())

    class Leaves:
        @property
        def recursive(self) -> bool:
            folder.sensors.popitem()
            return False

    for name in ("one", "two"):
        folder.sensors[name] = a_sensor(name, "in/{x}.csv")
        folder.sensors[name].pattern = Leaves()  # type: ignore[assignment]
    assert Owners("/p", {"/p/in": folder}).reporter("/p/in/deep/a.txt") is None


async def test_a_root_that_all_have_left_is_not_scanned_again() -> None:
    due_times = DueTimes()
    left = Folder("/p/in", "/p", due_times)
    left.begin()
    left.retire()
    anew = Folder("/p/in", "/p", due_times)
    anew.ask()
    left.scanned(10.0, 0.1, 60.0)
    left.end()
    assert due_times.take(0.0) == ["/p/in"]
