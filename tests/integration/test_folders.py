"""Folders that cannot be trusted, or do not notify: what the file sensor does then."""

import errno
import os
import shutil
from collections import Counter
from pathlib import Path

import anyio
import pytest

from afresh.assets.errors import SensorError
from afresh.assets.partition import Pattern
from afresh.sensors.folders.probe import file_system
from afresh.sensors.folders.scan import Place, place_of
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.watcher import FolderWatcher
from support.watching import Journal, clock, health, until, watching


async def test_files_in_new_folders_are_found_however_they_race(tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    async with watching(tmp_path, "landing/{year}/{day}.csv", settle_seconds=0.05) as (_, journal):
        for year in range(30):
            folder = tmp_path / "landing" / str(year)
            folder.mkdir()
            for day in range(3):
                (folder / f"{day}.csv").write_text("1")
            if year % 3 == 0:
                await anyio.sleep(0.002)
        await until(lambda: len(journal.known) == 90)
        (tmp_path / "landing" / "5" / "9.csv").write_text("1")
        await until(lambda: len(journal.known) == 91)
    assert Counter(journal.short).most_common(1)[0][1] == 1


async def test_a_folder_made_anew_is_watched_again(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "2013"
    folder.mkdir(parents=True)
    async with watching(tmp_path, "landing/{year}/{day}.csv", settle_seconds=60) as (_, journal):
        for turn in range(1, 4):
            shutil.rmtree(folder)
            folder.mkdir()
            await anyio.sleep(0.3)
            (folder / f"{turn}.csv").write_text("1")
            await until(lambda turn=turn: ("arrived", f"landing/2013/{turn}.csv") in journal.short)


async def test_a_renamed_folder_takes_its_files_along(tmp_path: Path) -> None:
    (tmp_path / "landing" / "old").mkdir(parents=True)
    (tmp_path / "landing" / "stays").mkdir()
    for day in range(2):
        (tmp_path / "landing" / "stays" / f"{day}.csv").write_text("1")
    (tmp_path / "landing" / "old" / "1.csv").write_text("1")
    async with watching(tmp_path, "landing/{year}/{day}.csv", settle_seconds=0.05) as (_, journal):
        await until(lambda: len(journal.arrivals) == 3)
        (tmp_path / "landing" / "old").rename(tmp_path / "landing" / "new")
        await until(lambda: len(journal.arrivals) == 5)
        (tmp_path / "landing" / "new" / "2.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 6)
    assert set(journal.short[3:5]) == {
        ("deleted", "landing/old/1.csv"),
        ("arrived", "landing/new/1.csv"),
    }
    assert journal.short[5] == ("arrived", "landing/new/2.csv")


async def test_a_missing_folder_fails_the_sensor_until_it_is_there(tmp_path: Path) -> None:
    states: list[str] = []
    async with watching(
        tmp_path, check=False, on_health=lambda sensor: states.append(sensor.health.state)
    ) as (sensor, journal):
        await until(lambda: sensor.health.state == "failed")
        assert "landing" in sensor.health.error
        with pytest.raises(SensorError, match="landing"):
            await sensor.scan()
        (tmp_path / "landing").mkdir()
        (tmp_path / "landing" / "a.csv").write_text("1")
        await until(lambda: journal.arrivals)
    assert states == ["failed", "watching"]


async def test_when_the_folder_vanishes_nothing_counts_as_deleted(
    tmp_path: Path, landing: Path
) -> None:
    for number in range(50):
        (landing / f"{number}.csv").write_text("1")
    async with watching(tmp_path) as (sensor, journal):
        await until(lambda: len(journal.arrivals) == 50)
        shutil.rmtree(landing)
        await until(lambda: sensor.health.state == "failed")
        await anyio.sleep(0.3)
        assert len(journal.arrivals) == 50
        landing.mkdir()
        with pytest.raises(SensorError, match="50 known files, found 50 gone") as raised:
            await sensor.scan()
        assert "afresh sensors scan days --accept" in raised.value.hint
        (landing / "new.csv").write_text("1")
        await anyio.sleep(0.1)
        assert len(journal.arrivals) == 50
        assert await sensor.scan(accept=True) == 51
        assert sensor.health.state == "watching"
    assert list(journal.known) == ["landing/new.csv"]


async def test_a_vanished_folder_can_be_confirmed(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text("1")
    async with watching(tmp_path) as (sensor, journal):
        await until(lambda: journal.arrivals)
        landing.rename(tmp_path / "elsewhere")
        await until(lambda: sensor.health.state == "failed")
        assert await sensor.scan(accept=True) == 1
    assert journal.known == {}


async def test_when_more_than_half_is_gone_at_a_scan_nothing_counts_as_deleted(
    tmp_path: Path, landing: Path
) -> None:
    for number in range(4):
        (landing / f"{number}.csv").write_text("1")
    async with watching(tmp_path) as (_, journal):
        await until(lambda: len(journal.arrivals) == 4)
    for number in range(3):
        (landing / f"{number}.csv").rename(tmp_path / f"{number}.csv")
    async with watching(tmp_path, known=journal.known, check=False) as (sensor, later):
        await until(lambda: sensor.health.state == "failed")
        with pytest.raises(SensorError, match="most of 4 known files, found 3 gone"):
            await sensor.scan()
        assert later.arrivals == []
        (tmp_path / "2.csv").rename(landing / "2.csv")
        assert await sensor.scan() == 3  # a rename changes the identity
        assert sensor.health.state == "watching"
    assert set(later.short) == {
        ("deleted", "landing/0.csv"),
        ("deleted", "landing/1.csv"),
        ("arrived", "landing/2.csv"),
    }


async def test_on_another_device_nothing_counts_as_deleted(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        (landing / f"{number}.csv").write_text("1")
    async with watching(tmp_path) as (sensor, journal):
        await until(lambda: len(journal.arrivals) == 4)

        def elsewhere(folder: str, *, follow: bool = True) -> Place:
            place = place_of(folder, follow=follow)
            return Place(place.device + 1, place.inode)

        with monkeypatch.context() as patch:
            patch.setattr("afresh.sensors.folders.scan.place_of", elsewhere)
            (landing / "0.csv").unlink()
            with pytest.raises(SensorError, match="device"):
                await sensor.scan()
            assert len(journal.arrivals) == 4
        assert await sensor.scan() == 1
    assert journal.short[4:] == [("deleted", "landing/0.csv")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_folder_fails_the_sensor(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text("1")
    async with watching(tmp_path) as (sensor, journal):
        await until(lambda: journal.arrivals)
        landing.chmod(0)
        with pytest.raises(SensorError, match="Permission"):
            await sensor.scan()
        landing.chmod(0o755)
        assert await sensor.scan() == 0


async def test_an_error_in_listing_fails_the_sensor(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (landing / "a.csv").write_text("1")
    async with watching(tmp_path) as (sensor, journal):
        await until(lambda: journal.arrivals)
        with monkeypatch.context() as patch:

            def scandir(path: str) -> None:
                raise OSError(errno.EIO, "Input/output error", path)

            patch.setattr("afresh.sensors.folders.scan.os.scandir", scandir)
            with pytest.raises(SensorError, match="Input/output error"):
                await sensor.scan()
            assert health(sensor).state == "failed"
        assert await sensor.scan() == 0
        assert sensor.health.state == "watching"
    assert len(journal.arrivals) == 1


async def test_the_watched_folder_itself_may_be_a_link(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (tmp_path / "landing").symlink_to(outside)
    (outside / "a.csv").write_text("1")
    async with watching(tmp_path) as (_, journal):
        (outside / "b.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 2)
    assert not any(arrival.problem for arrival in journal.arrivals)


async def test_sensors_share_the_watch_and_the_scan_of_a_folder(
    tmp_path: Path, landing: Path
) -> None:
    """Each has its own; what is nobody's is told once."""
    (landing / "deep").mkdir()
    watcher = FolderWatcher(os.fspath(tmp_path), now=clock)
    journals = {name: Journal() for name in ("csv", "json", "deep")}
    patterns = {
        "csv": "landing/{x}.csv",
        "json": "landing/{x}.json",
        "deep": "landing/deep/{x}.csv",
    }
    async with anyio.create_task_group() as tasks:
        await tasks.start(watcher.run)
        sensors = {}
        for name, text in patterns.items():
            sensors[name] = FileSensor(name=name, pattern=Pattern.parse(text), watcher=watcher)
            tasks.start_soon(sensors[name].run, journals[name].emit)
        await until(lambda: all(sensor.checked for sensor in sensors.values()))
        for path in ("a.csv", "a.json", "deep/a.csv", "deep/a.txt", "a.txt"):
            (landing / path).write_text("1")
        await until(lambda: sum(len(j.arrivals) for j in journals.values()) == 5)
        await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    seen = {name: [(a.uri, a.partition) for a in j.arrivals] for name, j in journals.items()}
    assert seen == {
        "csv": [("landing/a.csv", "a"), ("landing/a.txt", None)],
        "json": [("landing/a.json", "a")],
        "deep": [("landing/deep/a.csv", "a"), ("landing/deep/a.txt", None)],
    }


async def test_without_watches_a_folder_is_scanned_and_says_so(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(*_: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr("afresh.sensors.folders.notify._Reader.add_callback", watch)
    monkeypatch.setattr("afresh.sensors.folders.folder.UNNOTIFIED_SECONDS", 0.05)
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: journal.arrivals)
        assert sensor.health.state == "scanning"
        assert "max_user_watches" in sensor.health.note


async def test_without_any_notifications_folders_are_scanned(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(_: object) -> int:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(
        "afresh.sensors.folders.notify._Reader._create_inotify_fd", classmethod(create)
    )
    monkeypatch.setattr("afresh.sensors.folders.folder.UNNOTIFIED_SECONDS", 0.05)
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: journal.arrivals)
        assert "max_user_instances" in sensor.health.note


async def test_when_reading_notifications_fails_folders_are_scanned(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: object) -> list[object]:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("afresh.sensors.folders.folder.UNNOTIFIED_SECONDS", 0.05)
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        monkeypatch.setattr("afresh.sensors.folders.notify._Reader.read_events", read)
        (landing / "a.csv").write_text("1")
        (landing / "b.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 2)
        (landing / "c.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 3)
        assert "reading them failed" in sensor.health.note


async def test_a_network_file_system_is_scanned_and_says_so(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.sensors.folders.scanner.probe", lambda _: file_system("nfs4"))
    monkeypatch.setattr("afresh.sensors.folders.notify.Notifications.drain", lambda *_: [])
    monkeypatch.setattr("afresh.sensors.folders.folder.UNNOTIFIED_SECONDS", 0.05)
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: journal.arrivals)
        assert sensor.health.state == "scanning"
        assert "nfs4" in sensor.health.note


async def test_a_folder_of_the_state_is_never_entered(tmp_path: Path) -> None:
    (tmp_path / "state" / "x").mkdir(parents=True)
    (tmp_path / "state" / "x" / "a.csv").write_text("1")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("1")
    journal = Journal()
    watcher = FolderWatcher(os.fspath(tmp_path), now=clock, skip=[os.fspath(tmp_path / "state")])
    sensor = FileSensor(
        name="all", pattern=Pattern.parse("**/{x}.csv"), watcher=watcher, settle_seconds=0.02
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(watcher.run)
        tasks.start_soon(sensor.run, journal.emit)
        await until(lambda: journal.arrivals)
        tasks.cancel_scope.cancel()
    assert journal.short == [("arrived", "in/a.csv")]
