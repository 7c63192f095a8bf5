import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from afresh.daemon.workers import output as module
from afresh.daemon.workers.output import Output


class Pipe:
    def __init__(self) -> None:
        self.output = Output()
        self.end = os.dup(self.output.write)
        self.output.started()

    def write(self, data: bytes) -> None:
        os.write(self.end, data)


@pytest.fixture
async def pipe() -> AsyncIterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.end)
    pipe.output.close()
    pipe.output.close()


async def test_each_attempt_has_what_it_printed(pipe: Pipe, tmp_path: Path) -> None:
    pipe.write(b"between\n")
    for name in ("a", "b"):
        pipe.output.begin(str(tmp_path / name))
        pipe.write(f"in {name}\n".encode())
        pipe.output.say("afresh: ended")
        pipe.output.end()
        pipe.write(b"between\n")
    assert (tmp_path / "a").read_text() == "in a\nafresh: ended\n"
    assert (tmp_path / "b").read_text() == "in b\nafresh: ended\n"


async def test_a_log_that_is_there_is_added_to(pipe: Pipe, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("first\n")
    pipe.output.begin(str(tmp_path / "a"))
    pipe.write(b"second\n")
    pipe.output.end()
    assert (tmp_path / "a").read_text() == "first\nsecond\n"


async def test_nothing_printed_is_no_file(pipe: Pipe, tmp_path: Path) -> None:
    pipe.output.begin(str(tmp_path / "a"))
    pipe.output.end()
    assert not (tmp_path / "a").exists()


async def test_what_is_beyond_the_cap_is_counted(
    pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAP_BYTES", 10)
    pipe.output.begin(str(tmp_path / "a"))
    pipe.write(b"0123456789abc")
    pipe.output.end()
    text = (tmp_path / "a").read_text()
    assert text == "0123456789\n... 3 more bytes were dropped: a log holds 10\n"


async def test_a_log_that_cannot_be_written_costs_the_log_alone(pipe: Pipe, tmp_path: Path) -> None:
    pipe.output.begin(str(tmp_path / "absent" / "a"))
    pipe.write(b"lost\n")
    pipe.output.say("lost, too")
    pipe.output.end()
    pipe.output.begin(str(tmp_path / "b"))
    pipe.write(b"kept\n")
    pipe.output.end()
    assert (tmp_path / "b").read_text() == "kept\n"


async def test_draining_ends_with_the_last_writer(tmp_path: Path) -> None:
    pipe = Pipe()
    pipe.output.begin(str(tmp_path / "a"))
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipe.output.drain)
            pipe.write(b"x" * 5000)
            await anyio.wait_all_tasks_blocked()
            os.close(pipe.end)
    assert (tmp_path / "a").stat().st_size == 5000
    pipe.output.close()


async def test_draining_ends_when_it_is_closed(pipe: Pipe) -> None:
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipe.output.drain)
            await anyio.wait_all_tasks_blocked()
            pipe.output.close()
