"""The file sensor on the real file system: what is an arrival and what is none."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import anyio
import pytest

from afresh.assets.errors import SensorError
from afresh.assets.partition import Pattern
from afresh.sensors.base import Identity
from afresh.sensors.folders.look import Seen, identity_of
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.watcher import FolderWatcher
from support.watching import Journal, clock, until, watching


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


async def test_a_clock_that_is_set_ahead_makes_no_file_complete(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = 0.0
    monkeypatch.setattr("support.watching.clock", lambda: clock() + ahead)
    async with watching(tmp_path, settle_seconds=5) as (sensor, journal):
        with (landing / "a.csv").open("w") as file:
            file.write("1")
            file.flush()
            await until(lambda: sensor.pending)
            ahead = 3600.0
            assert await sensor.scan() == 0
            file.write("2")
        await until(lambda: journal.arrivals)
    assert [a.identity.size for a in journal.arrivals if a.identity] == [2]


async def test_a_deletion_that_could_not_be_recorded_is_told_in_the_end(
    tmp_path: Path, landing: Path
) -> None:
    for name in "abc":
        (landing / f"{name}.csv").write_text("1")
    journal = Journal()
    watcher = FolderWatcher(os.fspath(tmp_path), now=clock)
    sensor = FileSensor(
        name="days", pattern=Pattern.parse("landing/{day}.csv"), watcher=watcher, settle_seconds=0.1
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(watcher.run)
        sensor.start(lambda _sensor: None)
        await until(lambda: sensor.health.lag == 3 and not sensor.pending)
        await sensor.drain(journal.emit)
        (landing / "a.csv").unlink()
        await until(lambda: sensor.health.lag == 1 and not sensor.pending)
        journal.fails = 1
        with pytest.raises(OSError, match="full"):
            await sensor.drain(journal.emit)
        (landing / "a.csv").write_text("22")
        await until(lambda: sensor.current(os.fspath(landing / "a.csv")))
        (landing / "a.csv").unlink()
        await until(lambda: not sensor.current(os.fspath(landing / "a.csv")))
        await sensor.drain(journal.emit)
        tasks.cancel_scope.cancel()
    assert journal.short[3:] == [("deleted", "landing/a.csv")]


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


async def test_what_notifications_missed_a_scan_finds(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (landing / "a.csv").write_text("1")
    (landing / "b.csv").write_text("1")
    async with watching(tmp_path, settle_seconds=0.05) as (sensor, journal):
        await until(lambda: len(journal.arrivals) == 2)
        monkeypatch.setattr("afresh.sensors.folders.notify.Notifications.drain", lambda *_: [])
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
    monkeypatch.setattr("afresh.sensors.folders.notify.Notifications.drain", lambda *_: [])
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
        assert notifications._reader is not None
        with notifications._reader._lock:  # the reader waits for it, so the kernel's queue fills
            for number in range(many):
                (landing / f"{number}.csv").touch()
        await until(lambda: len(journal.known) == many, 30)
    assert len(journal.short) == len(set(journal.short)) == many


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


async def test_many_files_of_one_key_are_refused_at_the_cost_of_a_few(
    tmp_path: Path, landing: Path
) -> None:
    for number in range(3000):
        (landing / f"{number}.csv").touch()
    async with watching(tmp_path, "landing/*.csv", settle_seconds=0.05) as (_, journal):
        await until(lambda: len(journal.arrivals) == 3000)
    assert all("Expected one file for source days" in a.problem for a in journal.arrivals)
    assert max(len(a.problem) for a in journal.arrivals) < 300


async def test_a_change_within_the_clocks_granularity_is_not_missed(
    tmp_path: Path, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a coarse clock two changes leave one identity: the second closing tells them apart."""
    at = int(clock() * 1e9) + 10**9

    def look(path: str, _: tuple[str, ...]) -> Seen | None:
        return Seen(Identity(1, 1, at, at)) if os.path.exists(path) else None  # noqa: PTH110

    monkeypatch.setattr("afresh.sensors.folders.sightings.look", look)
    async with watching(tmp_path) as (_, journal):
        (landing / "a.csv").write_text("1")
        await until(lambda: len(journal.arrivals) == 1)
        (landing / "a.csv").write_text("2")
        await until(lambda: len(journal.arrivals) == 2)
    assert journal.arrivals[0].identity == journal.arrivals[1].identity
