"""inotify as it is: what is lost is told, and costs nothing for good."""

import os
import shutil
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyEvent, WatchDescriptor

from afresh.sensors.folders import notify
from afresh.sensors.folders.notify import Notifications
from afresh.sensors.folders.scan import place_of
from support.watching import until

pytestmark = pytest.mark.anyio


async def until_told(notifications: Notifications, path: Path) -> None:
    told: set[str] = set()

    def drained() -> bool:
        told.update(note.path for note in notifications.drain(999))
        return os.fspath(path) in told

    await until(drained)


async def test_after_an_overflow_a_folder_that_was_made_anew_is_watched_again(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    place = place_of(os.fspath(folder))
    notifications = Notifications()
    try:
        notifications.watch(os.fspath(folder), place)
        shutil.rmtree(folder)
        folder.mkdir()
        await until(lambda: any(e.mask & notify.SELF_GONE for e in notifications._queue))
        # The kernel's queue was full: that the watch ended was lost, and much else.
        notifications._queue.clear()
        notifications._queue.append(InotifyEvent(WatchDescriptor(-1), notify.OVERFLOW, 0, b""))
        (note,) = notifications.drain(10)
        assert note.mask == notify.OVERFLOW
        # File systems give the number of a folder that is gone to the next one.
        notifications.watch(os.fspath(folder), place)
        (folder / "a.csv").write_text("1")
        await until_told(notifications, folder / "a.csv")
    finally:
        notifications.close()


async def test_what_waits_to_be_drained_is_bounded_and_a_loss_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.sensors.folders.notify.QUEUED_AT_MOST", 50)
    notifications = Notifications()
    try:
        notifications.watch(os.fspath(tmp_path), place_of(os.fspath(tmp_path)))
        for number in range(20):
            for name in range(20):
                (tmp_path / f"{number}-{name}.csv").touch()
            await until(lambda: notifications._queue)
        await until(lambda: any(e.mask & notify.OVERFLOW for e in notifications._queue))
        notes = notifications.drain(10_000)
        assert [bool(note.mask & notify.OVERFLOW) for note in notes].count(True) == 1
        assert len(notes) < 400
        # What comes then is told again.
        (tmp_path / "last.csv").touch()
        await until_told(notifications, tmp_path / "last.csv")
    finally:
        notifications.close()
