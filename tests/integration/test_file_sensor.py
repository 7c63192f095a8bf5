"""The file sensor on the real file system: each row of SEMANTICS' table of arrivals about files."""

import errno
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import anyio
import pytest

from afresh.assets.errors import SensorError
from afresh.assets.partition import Pattern
from afresh.sensors.base import Identity
from afresh.sensors.file import FileSensor
from afresh.sensors.look import Seen, identity_of
from afresh.sensors.probe import file_system
from afresh.sensors.scan import Place, place_of
from afresh.sensors.watcher import FolderWatcher
from support.watching import Journal, clock, until, watching


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


def replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text)
    temporary.rename(path)


async def test_what_is_there_at_the_start_arrives_once(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text("1")
    async with watching(tmp_path) as (sensor, journal):
        await until(lambda: journal.arrivals)
        assert await sensor.scan() == 0
    arrival = journal.arrivals[0]
    assert (arrival.uri, arrival.kind, arrival.partition) == ("landing/a.csv", "arrived", "a")
    assert arrival.identity is not None
    assert arrival.identity.size == 1
    async with watching(tmp_path, journal=journal, known=journal.known) as (sensor, journal):
        assert await sensor.scan() == 0
    assert journal.short == [("arrived", "landing/a.csv")]


async def test_a_closed_file_does_not_wait_to_settle(tmp_path: Path, landing: Path) -> None:
    async with watching(tmp_path, settle_seconds=60) as (_, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: journal.short == [("arrived", "landing/a.csv")])


async def test_a_file_that_is_renamed_in_does_not_wait(tmp_path: Path, landing: Path) -> None:
    (tmp_path / "outside.csv").write_text("1")
    (landing / "b.csv.part").write_text("1")
    async with watching(tmp_path, settle_seconds=60) as (_, journal):
        (tmp_path / "outside.csv").rename(landing / "a.csv")
        (landing / "b.csv.part").rename(landing / "b.csv")
        await until(lambda: len(journal.arrivals) == 2)
    assert journal.short == [("arrived", "landing/a.csv"), ("arrived", "landing/b.csv")]


async def test_a_half_written_file_does_not_arrive(tmp_path: Path, landing: Path) -> None:
    async with watching(tmp_path, settle_seconds=0.1) as (sensor, journal):
        with (landing / "a.csv").open("w") as file:
            for _ in range(4):
                file.write("1")
                file.flush()
                await anyio.sleep(0.1)
            assert await sensor.scan() == 0
            assert sensor.health.lag == 1
        await until(lambda: journal.arrivals)
        await sensor.scan()
    assert [a.identity.size for a in journal.arrivals if a.identity] == [4]


async def test_a_file_that_stays_open_arrives_when_it_is_stable_for_long(
    tmp_path: Path, landing: Path
) -> None:
    async with watching(tmp_path, settle_seconds=0.02) as (_, journal):
        with (landing / "a.csv").open("w") as file:
            file.write("1")
            file.flush()
            await until(lambda: journal.arrivals)


async def test_a_growing_file_that_a_scan_found_waits(tmp_path: Path, landing: Path) -> None:
    with (landing / "a.csv").open("w") as file:
        async with watching(tmp_path, settle_seconds=0.3) as (_, journal):
            for _ in range(6):
                file.write("1")
                file.flush()
                await anyio.sleep(0.1)
            assert not journal.arrivals
            file.close()
            await until(lambda: journal.arrivals)
    assert [a.identity.size for a in journal.arrivals if a.identity] == [6]


async def test_hard_links_and_symbolic_links_arrive(tmp_path: Path, landing: Path) -> None:
    (tmp_path / "one").write_text("1")
    async with watching(tmp_path) as (_, journal):
        os.link(tmp_path / "one", landing / "a.csv")
        (landing / "b.csv").symlink_to(tmp_path / "one")
        await until(lambda: len(journal.arrivals) == 2)
    assert {uri for _, uri in journal.short} == {"landing/a.csv", "landing/b.csv"}
    assert not any(arrival.problem for arrival in journal.arrivals)


async def test_an_overwritten_file_arrives_again(tmp_path: Path, landing: Path) -> None:
    async with watching(tmp_path) as (sensor, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 1)
        (landing / "a.csv").write_text("2")
        await until(lambda: len(journal.arrivals) == 2)
        replace(landing / "a.csv", "3")
        await until(lambda: len(journal.arrivals) == 3)
        assert await sensor.scan() == 0
    assert {a.uri for a in journal.arrivals} == {"landing/a.csv"}
    assert len({a.identity for a in journal.arrivals}) == 3


async def test_a_deleted_file_is_reported_even_after_a_rename(
    tmp_path: Path, landing: Path
) -> None:
    async with watching(tmp_path) as (_, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 1)
        (landing / "a.csv").rename(landing / "b.csv")
        await until(lambda: len(journal.arrivals) == 3)
        (landing / "b.csv").unlink()
        await until(lambda: len(journal.arrivals) == 4)
    assert Counter(journal.short[1:3]) == Counter(
        [("deleted", "landing/a.csv"), ("arrived", "landing/b.csv")]
    )
    assert journal.short[3] == ("deleted", "landing/b.csv")
    assert journal.known == {}


async def test_a_file_that_is_deleted_and_back_at_once_is_no_deletion(
    tmp_path: Path, landing: Path
) -> None:
    async with watching(tmp_path) as (sensor, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: journal.arrivals)
        (landing / "a.csv").unlink()
        (landing / "a.csv").write_text("2")
        await until(lambda: len(journal.arrivals) == 2)
        await sensor.scan()
    assert journal.short == [("arrived", "landing/a.csv")] * 2


async def test_a_rename_onto_the_same_key_takes_back_the_old_first(
    tmp_path: Path, landing: Path
) -> None:
    async with watching(tmp_path) as (_, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 1)
        subprocess.run(["gzip", landing / "a.csv"], check=True)  # noqa: ASYNC221
        await until(lambda: len(journal.arrivals) == 3)
        await anyio.sleep(0.6)
    assert journal.short[1:] == [("deleted", "landing/a.csv"), ("arrived", "landing/a.csv.gz")]
    assert not any(arrival.problem for arrival in journal.arrivals)


async def test_two_files_of_one_key_are_refused_naming_both(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text("1")
    (landing / "a.csv.gz").write_text("2")
    async with watching(tmp_path) as (sensor, journal):
        await until(lambda: len(journal.arrivals) == 2)
        for arrival in journal.arrivals:
            assert arrival.partition == "a"
            assert "'landing/a.csv', 'landing/a.csv.gz'" in arrival.problem
        assert await sensor.scan() == 0
        (landing / "a.csv.gz").unlink()
        await until(lambda: len(journal.arrivals) == 4)
    assert journal.short[2:] == [("deleted", "landing/a.csv.gz"), ("arrived", "landing/a.csv")]
    assert not journal.arrivals[3].problem


async def test_a_second_file_of_a_known_key_is_refused(tmp_path: Path, landing: Path) -> None:
    async with watching(tmp_path) as (_, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 1)
        (landing / "a.csv.gz").write_text("2")
        await until(lambda: len(journal.arrivals) == 2)
    assert journal.arrivals[1].uri == "landing/a.csv.gz"
    assert "'landing/a.csv', 'landing/a.csv.gz'" in journal.arrivals[1].problem


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


async def test_what_notifications_missed_a_scan_finds(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (landing / "a.csv").write_text("1")
    (landing / "b.csv").write_text("1")
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        await until(lambda: len(journal.arrivals) == 2)
        monkeypatch.setattr("afresh.sensors.notify.Notifications.drain", lambda *_: [])
        (landing / "a.csv").unlink()
        (landing / "c.csv").write_text("1")
        (landing / "b.csv").write_text("22")
        assert await sensor.scan() == 3
    assert set(journal.short[2:]) == {
        ("deleted", "landing/a.csv"),
        ("arrived", "landing/c.csv"),
        ("arrived", "landing/b.csv"),
    }


async def test_an_interval_scan_needs_nobody_to_ask(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.sensors.notify.Notifications.drain", lambda *_: [])
    async with watching(tmp_path, settle_seconds=0.05, interval_seconds=0.1) as (_, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: journal.arrivals)


async def test_a_burst_over_the_kernels_queue_is_found_whole(tmp_path: Path, landing: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip("the kernel's queue is too long to be filled here")
    many = limit // 2 + 1000
    async with watching(tmp_path, settle_seconds=0.2) as (sensor, journal):
        notifications = sensor._watcher._notifications
        assert notifications is not None
        with notifications._reader._lock:  # the reader waits for it, so the kernel's queue fills
            for number in range(many):
                (landing / f"{number}.csv").touch()
        await until(lambda: len(journal.known) == many, 30)
    assert len(journal.short) == len(set(journal.short)) == many


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
            patch.setattr("afresh.sensors.scan.place_of", elsewhere)
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

            patch.setattr("afresh.sensors.scan.os.scandir", scandir)
            with pytest.raises(SensorError, match="Input/output error"):
                await sensor.scan()
            assert sensor.health.state == "failed"
        assert await sensor.scan() == 0
        assert sensor.health.state == "watching"
    assert len(journal.arrivals) == 1


async def test_temporary_names_and_what_is_no_file_are_ignored(
    tmp_path: Path, landing: Path
) -> None:
    async with watching(tmp_path) as (sensor, journal):
        for name in (".hidden.csv", "a.csv~", "a.csv.part", "a.csv.tmp"):
            (landing / name).write_text("1")
        os.mkfifo(landing / "fifo.csv")
        (landing / "folder.csv").mkdir()
        (landing / "loop.csv").symlink_to(landing / "loop.csv")
        (landing / "nowhere.csv").symlink_to(landing / "absent")
        (landing / "to_folder.csv").symlink_to(tmp_path)
        assert await sensor.scan() == 0
        assert journal.arrivals == []


async def test_a_link_out_of_the_project_is_refused_by_name(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, landing: Path
) -> None:
    secret = tmp_path_factory.mktemp("outside") / "secret"
    secret.write_text("1")
    async with watching(tmp_path) as (sensor, journal):
        (landing / "a.csv").symlink_to(secret)
        await until(lambda: journal.arrivals)
        assert await sensor.scan() == 0
    assert "symbolic link" in journal.arrivals[0].problem
    assert str(secret) in journal.arrivals[0].problem


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


HOSTILE = [
    b"sp ace",
    b"quo'te\"",
    b"new\nline",
    b"\x1b[31mred",
    b"%2e%2e",
    b"..x",
    b"a,b@c*[d]",
    b"\xff\xfe",
    "right\u202eleft".encode(),
    b"x" * 251,
    "\u00e9".encode(),
    "e\u0301".encode(),
]


async def test_hostile_names_arrive_under_distinct_plain_names(
    tmp_path: Path, landing: Path
) -> None:
    names = [name for name in HOSTILE if not name.startswith(b".")]
    async with watching(tmp_path) as (sensor, journal):
        for name in names:
            with open(os.fsencode(landing) + b"/" + name + b".csv", "w") as file:  # noqa: ASYNC230, PTH123
                file.write("1")
        await until(lambda: len(journal.arrivals) == len(names))
        assert await sensor.scan() == 0
    uris = {arrival.uri for arrival in journal.arrivals}
    keys = {arrival.partition for arrival in journal.arrivals}
    assert len(uris) == len(keys) == len(names)
    assert all(uri.isprintable() or "\u202e" in uri for uri in uris)
    async with watching(tmp_path, journal=journal, known=journal.known) as (sensor, _):
        assert await sensor.scan() == 0


async def test_what_matches_nothing_is_reported_once(tmp_path: Path, landing: Path) -> None:
    (landing / "old.txt").write_text("1")
    (tmp_path / "pipeline.py").write_text("1")
    async with watching(tmp_path) as (sensor, journal):
        (landing / "new.txt").write_text("1")
        await until(lambda: len(journal.arrivals) == 2)
        (landing / "new.txt").write_text("2")
        assert await sensor.scan() == 0
    assert [arrival.partition for arrival in journal.arrivals] == [None, None]
    known = journal.known
    async with watching(tmp_path, journal=journal, known=known) as (sensor, _):
        assert await sensor.scan() == 0
        (landing / "new.txt").unlink()
        await until(lambda: len(journal.arrivals) == 3)
    assert journal.arrivals[2].partition is None
    assert journal.arrivals[2].kind == "deleted"
    unmatched = {"landing/old.txt"}
    async with watching(
        tmp_path, "landing/{day}.txt", journal=journal, known=journal.known, unmatched=unmatched
    ):
        await until(lambda: len(journal.arrivals) == 4)
    assert journal.arrivals[3].partition == "old"


async def test_what_was_not_acknowledged_is_reported_again(tmp_path: Path, landing: Path) -> None:
    (landing / "a.csv").write_text("1")
    journal = Journal()
    journal.fails = 1
    with pytest.raises(ExceptionGroup) as raised:
        async with watching(tmp_path, journal=journal, check=False):
            await anyio.sleep(5)
    assert raised.group_contains(OSError, match="the ledger is full")
    assert journal.arrivals == []
    async with watching(tmp_path, journal=journal) as (sensor, _):
        await until(lambda: journal.arrivals)
        await until(lambda: sensor.is_quiet)
        assert list(sensor.known) == [os.fspath(landing / "a.csv")]
    assert journal.short == [("arrived", "landing/a.csv")]


async def test_a_sensor_that_failed_to_report_may_be_run_again(
    tmp_path: Path, landing: Path
) -> None:
    journal = Journal()
    watcher = FolderWatcher(os.fspath(tmp_path), now=clock)
    sensor = FileSensor(
        name="days", pattern=Pattern.parse("landing/{day}.csv"), watcher=watcher, settle_seconds=0.1
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(watcher.run)
        journal.fails = 1
        (landing / "a.csv").write_text("1")
        with pytest.raises(OSError, match="full"):
            await sensor.run(journal.emit)
        with pytest.raises(SensorError, match="running"):
            await sensor.scan()
        (landing / "b.csv").write_text("1")
        tasks.start_soon(sensor.run, journal.emit)
        await until(lambda: len(journal.arrivals) == 2)
        tasks.cancel_scope.cancel()
    assert sorted(journal.short) == [("arrived", "landing/a.csv"), ("arrived", "landing/b.csv")]


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

    monkeypatch.setattr("afresh.sensors.notify._Reader.add_callback", watch)
    monkeypatch.setattr("afresh.sensors.folder.UNNOTIFIED_SECONDS", 0.05)
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

    monkeypatch.setattr("afresh.sensors.notify._Reader._create_inotify_fd", classmethod(create))
    monkeypatch.setattr("afresh.sensors.folder.UNNOTIFIED_SECONDS", 0.05)
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: journal.arrivals)
        assert "max_user_instances" in sensor.health.note


async def test_when_reading_notifications_fails_folders_are_scanned(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: object) -> list[object]:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("afresh.sensors.folder.UNNOTIFIED_SECONDS", 0.05)
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        monkeypatch.setattr("afresh.sensors.notify._Reader.read_events", read)
        (landing / "a.csv").write_text("1")
        (landing / "b.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 2)
        (landing / "c.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 3)
        assert "reading them failed" in sensor.health.note


async def test_a_network_file_system_is_scanned_and_says_so(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.sensors.scanner.probe", lambda _: file_system("nfs4"))
    monkeypatch.setattr("afresh.sensors.notify.Notifications.drain", lambda *_: [])
    monkeypatch.setattr("afresh.sensors.folder.UNNOTIFIED_SECONDS", 0.05)
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: journal.arrivals)
        assert sensor.health.state == "scanning"
        assert "nfs4" in sensor.health.note


async def test_an_ingest_that_read_a_later_state_confirms_it(tmp_path: Path, landing: Path) -> None:
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: sensor.known)
        os.utime(landing / "a.csv", (1, 1))
        assert journal.short == [("arrived", "landing/a.csv")]
        sensor.confirm("landing/a.csv", identity_of((landing / "a.csv").stat()))
        assert await sensor.scan() == 0
        os.utime(landing / "a.csv", (2, 2))
        assert await sensor.scan() == 1


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


async def test_many_files_of_one_key_are_refused_at_the_cost_of_a_few(
    tmp_path: Path, landing: Path
) -> None:
    for number in range(3000):
        (landing / f"{number}.csv").touch()
    async with watching(tmp_path, "landing/*.csv", settle_seconds=0.05) as (_, journal):
        await until(lambda: len(journal.arrivals) == 3000, 10)
    assert all("Expected one file for source days" in a.problem for a in journal.arrivals)
    assert max(len(a.problem) for a in journal.arrivals) < 300


async def test_a_change_within_the_clocks_granularity_is_not_missed(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a coarse clock two changes leave one identity: the second closing tells them apart."""
    at = int(clock() * 1e9) + 10**9

    def look(path: str, _: tuple[str, ...]) -> Seen | None:
        return Seen(Identity(1, 1, at, at)) if os.path.exists(path) else None  # noqa: PTH110

    monkeypatch.setattr("afresh.sensors.sightings.look", look)
    async with watching(tmp_path) as (_, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 1)
        (landing / "a.csv").write_text("2")
        await until(lambda: len(journal.arrivals) == 2)
    assert journal.arrivals[0].identity == journal.arrivals[1].identity
