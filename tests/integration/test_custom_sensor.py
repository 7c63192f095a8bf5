"""Custom sensors in real processes: whatever one does costs that process."""

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from afresh.assets.errors import SensorError
from afresh.assets.manifest import Sensor, Source
from afresh.daemon.sensing.custom import CustomSensor
from afresh.sensors.base import Batch, SensorContext
from afresh.sensors.records import Record, decode_records
from support.processes import is_alive
from support.watching import Journal, until

BEGINNING = """
import os, sys, time
import anyio
from afresh.sensors import Record
"""


def a_sensor(folder: Path, body: str, cursor: str = "", **options: Any) -> CustomSensor:
    """Write a module with `async def poll(cursor)`, and make its sensor."""
    snapshot = folder / "snapshots" / "d"
    snapshot.mkdir(parents=True, exist_ok=True)
    (folder / "logs").mkdir(exist_ok=True)
    (snapshot / "feed.py").write_text(BEGINNING + body)
    given = {
        "module": "feed",
        "name": "poll",
        "start": "0",
        "every_seconds": 0.01,
        "stall_seconds": 30.0,
        "timeout_seconds": None,
        "memory_bytes": 1 << 30,
    }
    context = SensorContext(
        source=Source("orders", Sensor("custom", {**given, **options}), stream=True),
        project=str(folder),
        staging=str(folder / "staged" / "orders"),
        cursor=cursor,
        known={},
        now=time.time,
        random=Random(1),
        tell=lambda: None,
        snapshot=str(snapshot),
    )
    return CustomSensor(context)


@asynccontextmanager
async def running(sensor: CustomSensor, journal: Journal) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, journal.emit)
        yield
        tasks.cancel_scope.cancel()


def records(journal: Journal) -> list[Record]:
    return [
        record
        for arrival in journal.arrivals
        for record in decode_records(arrival.payload or Path(arrival.staged).read_bytes())
    ]


async def failure(folder: Path, body: str, **options: Any) -> tuple[SensorError, Journal]:
    journal = Journal()
    with anyio.fail_after(60), pytest.raises(SensorError) as raised:
        await a_sensor(folder, body, **options).run(journal.emit)
    return raised.value, journal


async def test_rows_and_cursor_are_handed_on_and_it_is_called_again(tmp_path: Path) -> None:
    body = """
async def poll(cursor):
    yield [{"n": cursor}, b"raw", "text", Record(b"v", b"k", (("h", b"x"),))], cursor + 1
    yield None, cursor + 2
"""
    journal = Journal()
    sensor = a_sensor(tmp_path, body)
    async with running(sensor, journal):
        await until(lambda: len(journal.batches) >= 4)
        assert sensor.checked
        assert sensor.health.state == "watching"
    assert [batch.cursor for batch in journal.batches[:4]] == ["1", "2", "3", "4"]
    assert records(journal)[:4] == [
        Record(b'{"n":0}'),
        Record(b"raw"),
        Record(b"text"),
        Record(b"v", b"k", (("h", b"x"),)),
    ]
    assert [bool(batch.arrivals) for batch in journal.batches[:2]] == [True, False]


async def test_it_goes_on_when_its_rows_are_durable(tmp_path: Path) -> None:
    body = """
async def poll(cursor):
    for number in range(cursor, 3):
        yield number, number + 1
        open("went-on", "a").write(str(number))
    await anyio.sleep_forever()
"""
    body = body.replace("yield number,", "yield [str(number)],")
    journal, hold = Journal(), anyio.Event()

    async def emit(batch: Batch) -> None:
        await hold.wait()
        await journal.emit(batch)

    sensor = a_sensor(tmp_path, body)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, emit)
        await until(lambda: not sensor.is_quiet)
        assert not (tmp_path / "went-on").exists()
        hold.set()
        await until(lambda: len(journal.batches) == 3)
        await until(lambda: (tmp_path / "went-on").read_text() == "012")
        assert sensor.is_quiet
        await until(lambda: sensor.checked)
        tasks.cancel_scope.cancel()


async def test_what_was_not_acknowledged_is_found_again(tmp_path: Path) -> None:
    body = """
async def poll(cursor):
    while True:
        yield [{"n": cursor}], cursor + 1
        cursor += 1
"""
    journal = Journal()
    journal.fails = 0

    async def emit(batch: Batch) -> None:
        if len(journal.batches) in (3, 7) and not journal.fails:
            journal.fails = 1
        await journal.emit(batch)

    sensor = a_sensor(tmp_path, body)
    for _ in range(2):
        with pytest.raises(OSError, match="full"), anyio.fail_after(60):
            await sensor.run(emit)
        journal.fails = 0
        await journal.emit(Batch("orders", ()))
    numbers = [record.value for record in records(journal)]
    assert numbers == [b'{"n":%d}' % number for number in range(len(numbers))]
    assert len(numbers) >= 5


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("async def poll(cursor):\n    raise KeyError('gone')\n    yield", "KeyError: 'gone'"),
        ("async def poll(cursor):\n    yield 5", "yield rows, cursor"),
        ("async def poll(cursor):\n    yield [object()], 5", "a row that JSON can say"),
        ("async def poll(cursor):\n    yield [], object()", "a cursor that JSON can say"),
        (
            "async def poll(cursor):\n    yield [], {'at': float('nan')}",
            "a cursor that JSON can say",
        ),
        ("async def poll(cursor):\n    yield 5, 5", "rows as a list, found int"),
        ("async def poll(cursor):\n    yield [b'x' * (65 << 20)], 5", "at most 64 MB"),
        ("async def poll(cursor):\n    os._exit(3)\n    yield", "exit code 3"),
        ("async def poll(cursor):\n    os.kill(os.getpid(), 11)\n    yield", "SIGSEGV"),
        ("async def poll(cursor):\n    sys.exit(4)\n    yield", "exit code"),
        ("async def poll(cursor):\n    x = bytearray(3 << 30)\n    yield", "MemoryError"),
        ("import nonesuch\nasync def poll(cursor):\n    yield", "nonesuch"),
        ("async def poll(cursor)\n    yield", "SyntaxError"),
    ],
)
async def test_what_fails_is_told(tmp_path: Path, body: str, found: str) -> None:
    error, journal = await failure(tmp_path, body)
    assert found in error.error
    assert journal.batches == []


async def test_the_line_that_raised_is_named_and_its_log_has_the_rest(tmp_path: Path) -> None:
    error, _ = await failure(
        tmp_path, "async def poll(cursor):\n    print('hi')\n    1 / 0\n    yield"
    )
    assert error.where == "feed.py:7"
    log = (tmp_path / "logs" / "sensor-orders.log").read_text()
    assert "hi\n" in log
    assert "ZeroDivisionError" in log


async def test_the_line_of_a_wrong_yield_is_named(tmp_path: Path) -> None:
    error, journal = await failure(tmp_path, "async def poll(cursor):\n    yield [], 1j")
    assert error.error == "Expected a cursor that JSON can say, found 1j"
    assert error.where == "feed.py:6"
    assert journal.batches == []


async def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    body = """
import subprocess
async def poll(cursor):
    child = subprocess.Popen(["sleep", "600"])
    open("pids", "w").write(f"{os.getpid()} {child.pid}")
    time.sleep(600)
    yield
"""
    error, _ = await failure(tmp_path, body, stall_seconds=1.5)
    assert "event loop" in error.error
    for pid in (tmp_path / "pids").read_text().split():
        await until(lambda pid=int(pid): not is_alive(pid))


async def test_a_step_may_be_limited(tmp_path: Path) -> None:
    body = "async def poll(cursor):\n    await anyio.sleep_forever()\n    yield"
    error, _ = await failure(tmp_path, body, timeout_seconds=0.5)
    assert "within 0.5 s" in error.error


async def test_a_flood_of_output_costs_nothing_but_itself(tmp_path: Path) -> None:
    body = """
async def poll(cursor):
    for _ in range(300):
        print("x" * 100_000)
    yield ["done"], 1
    await anyio.sleep_forever()
"""
    journal = Journal()
    async with running(a_sensor(tmp_path, body), journal):
        await until(lambda: journal.batches, 30)
    assert (tmp_path / "logs" / "sensor-orders.log").stat().st_size < 11 << 20


async def test_large_steps_are_staged(tmp_path: Path) -> None:
    body = """
async def poll(cursor):
    yield [b"x" * 100_000] * 3, 1
    await anyio.sleep_forever()
"""
    journal = Journal()
    async with running(a_sensor(tmp_path, body), journal):
        await until(lambda: journal.batches)
    (arrival,) = journal.arrivals
    assert arrival.payload == b""
    assert len(records(journal)) == 3


async def test_one_that_was_killed_from_outside_is_told(tmp_path: Path) -> None:
    body = """
async def poll(cursor):
    open("pid", "w").write(str(os.getpid()))
    await anyio.sleep_forever()
    yield
"""
    sensor, journal = a_sensor(tmp_path, body), Journal()
    pid = tmp_path / "pid"

    async with anyio.create_task_group() as tasks:

        async def kill() -> None:
            await until(lambda: pid.exists() and pid.read_text())
            os.kill(int(pid.read_text()), signal.SIGKILL)

        tasks.start_soon(kill)
        with pytest.raises(SensorError, match="SIGKILL"):
            await sensor.run(journal.emit)
