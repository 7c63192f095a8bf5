"""How far a reader of new rows came is of the stream that it read, whatever its parameter is."""

import anyio
import pytest

from afresh.assets.manifest import Manifest
from afresh.storage.ledger.memory import MemoryLedger
from support.streaming import StreamDaemon, StreamWorkers, reader, stream


def declared(digest: str, *new: str) -> Manifest:
    return Manifest(digest, (stream("s"), stream("t")), (reader("new", *new, code_key=digest),))


@pytest.mark.parametrize("restarted", [True, False])
async def test_another_stream_is_read_from_its_start_in_place_of_the_first(
    *, restarted: bool
) -> None:
    workers, ledger = StreamWorkers(), MemoryLedger()
    daemon = StreamDaemon(declared("a", "x=s"), workers, ledger)
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1", "2"], "s")
        await daemon.send(["one", "two", "three"], "t")
        await daemon.settle()
        if not restarted:
            await daemon.reload(declared("b", "x=t"))
            await daemon.settle()
        tasks.cancel_scope.cancel()
    daemon = StreamDaemon(declared("b", "x=t"), workers, ledger.snapshot())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.settle()
        assert daemon.head("new") == ["one", "two", "three"]
        await daemon.send(["four"], "t")
        await daemon.settle()
        assert daemon.head("new") == ["one", "two", "three", "four"]
        assert daemon.versions("new") == [(1, 0, 2), (2, 2, 5), (3, 2, 6)]
        tasks.cancel_scope.cancel()


async def test_another_name_of_a_parameter_is_no_other_stream() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(declared("a", "x=s"), workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        sent: list[str] = []
        for digest, name in (("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")):
            await daemon.reload(declared(digest, f"{name}=s"))
            await daemon.settle()
            assert daemon.head("new") == sent, "nothing is read again"
            sent.append(digest)
            await daemon.send([digest], "s")
            await daemon.settle()
        assert daemon.head("new") == sent
        tasks.cancel_scope.cancel()


async def test_streams_that_change_places_are_each_read_on() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(declared("a", "x=s", "y=t"), workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1", "2"], "s")
        await daemon.send(["one"], "t")
        await daemon.settle()
        await daemon.reload(declared("b", "x=t", "y=s"))
        await daemon.send(["two"], "t")
        await daemon.settle()
        assert daemon.head("new") == ["1", "2", "one", "two"]
        tasks.cancel_scope.cancel()


async def test_a_stream_that_was_left_out_for_a_while_is_read_on() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(declared("a", "x=s", "y=t"), workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"], "s")
        await daemon.send(["one"], "t")
        await daemon.settle()
        await daemon.reload(declared("b", "x=s"))
        await daemon.send(["2"], "s")
        await daemon.settle()
        await daemon.reload(declared("c", "x=s", "y=t"))
        await daemon.send(["two"], "t")
        await daemon.settle()
        assert daemon.head("new") == ["1", "one", "2", "two"]
        tasks.cancel_scope.cancel()


async def test_streams_that_are_exchanged_back_and_forth_are_each_read_whole() -> None:
    workers = StreamWorkers()
    daemon = StreamDaemon(declared("a", "s"), workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1", "2"], "s")
        await daemon.send(["one"], "t")
        await daemon.settle()
        for digest, name, rows in (("b", "t", ["one"]), ("c", "s", ["1", "2"])):
            await daemon.reload(declared(digest, name))
            await daemon.settle()
            assert daemon.head("new") == rows, "by another name too"
        daemon.check_laws("new")
        tasks.cancel_scope.cancel()


async def test_rows_are_not_kept_for_who_reads_another_stream_now() -> None:
    workers = StreamWorkers()
    sources = stream("s"), stream("t", keep_seconds=10.0)
    before = Manifest("a", sources, (reader("new", "x=s"),))
    after = Manifest("b", sources, (reader("new", "x=t", code_key="c2"),))
    daemon = StreamDaemon(before, workers, MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        await daemon.send(["1"], "s")
        for value in ("one", "two", "three"):
            await daemon.send([value], "t")
            await daemon.settle()
        workers.seconds = lambda task: 1e6 if task.name == "new" else 0.01
        await daemon.reload(after)
        await anyio.sleep(60.0)
        await daemon.files().let_rows_go()
        await anyio.sleep(1.0)
        assert daemon.versions("t")[-1][1] == 2, "the mark is of another stream"
        tasks.cancel_scope.cancel()
