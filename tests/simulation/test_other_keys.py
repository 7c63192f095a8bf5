"""Definitions that give an asset other keys: what does not fit is none of it, and comes back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from afresh.assets.manifest import Manifest
from afresh.assets.planner.changes import Paused
from afresh.sensors.base import Identity
from afresh.storage.ledger import queries
from afresh.storage.ledger.check import check_ledger
from afresh.storage.ledger.memory import MemoryLedger
from support.simulated import function, source
from support.streaming import StreamDaemon, StreamWorkers, stream

pytestmark = pytest.mark.anyio

WHOLE = function("whole", "s")
FILES = Manifest("files", (source("s", "day"),), (WHOLE,))
REGIONS = Manifest("regions", (source("s", "region", "day"),), (WHOLE,))
STREAM = Manifest("stream", (stream(),), (WHOLE,))
ONE_FILE = Manifest("one", (source("s"),), (WHOLE,))
NONE = Manifest("none", (), ())
IDENTITY = Identity(1, 1, 1, 1)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    import trio.testing

    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0.0)}


@asynccontextmanager
async def running(manifest: Manifest) -> AsyncIterator[StreamDaemon]:
    daemon = StreamDaemon(manifest, StreamWorkers(), MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        yield daemon
        tasks.cancel_scope.cancel()
    assert check_ledger(daemon.ledger.reader) == []


async def land(daemon: StreamDaemon, key: str, content: str) -> None:
    daemon.workers.files[f"landing/s/{key}" if key else "landing/s"] = content
    await daemon.arrive("s", key)
    await daemon.settle()


def whole(daemon: StreamDaemon) -> list[str]:
    return daemon.workers.artifacts[daemon.uri("whole")]


def in_force(daemon: StreamDaemon, asset: str) -> dict[str, int]:
    """Which units an asset has as of now, and at which version: what readers and lineage see."""
    rows = daemon.ledger.reader.rows(queries.ASSET_AT, {"asset": asset, "epoch": 1 << 62})
    return {key: version for key, _, version, _ in rows if version is not None}


async def test_a_source_has_the_units_of_its_keys() -> None:
    async with running(FILES) as daemon:
        await land(daemon, "d1", "1")
        await land(daemon, "d2", "2")
        assert (whole(daemon), in_force(daemon, "s")) == (["1", "2"], {"d1": 1, "d2": 1})
        await daemon.reload(STREAM)
        await daemon.send(["k"])
        await daemon.settle()
        assert (whole(daemon), in_force(daemon, "s")) == (["k"], {"": 1})
        await daemon.reload(REGIONS)
        await land(daemon, "eu,d1", "3")
        assert (whole(daemon), in_force(daemon, "s")) == (["3"], {"eu,d1": 1})
        await daemon.reload(FILES)
        await daemon.settle()
        assert (whole(daemon), in_force(daemon, "s")) == (["1", "2"], {"d1": 1, "d2": 1})


async def test_what_is_gone_meanwhile_leaves_its_units_where_they_were() -> None:
    async with running(FILES) as daemon:
        await land(daemon, "d1", "1")
        await daemon.reload(NONE)
        await daemon.reload(STREAM)
        await daemon.send(["k"])
        await daemon.settle()
        assert (whole(daemon), in_force(daemon, "s")) == (["k"], {"": 1})


async def test_an_asset_that_comes_to_have_keys_has_no_unit_without_one() -> None:
    own = function("up", "s", own=("s",))
    up, reads = function("up", "s"), function("n", "up")
    before = Manifest("before", FILES.sources, (up, reads))
    after = Manifest("after", FILES.sources, (own, reads))
    async with running(before) as daemon:
        await land(daemon, "d1", "1")
        assert in_force(daemon, "up") == {"": 1}
        await daemon.reload(after)
        await daemon.settle()
        assert in_force(daemon, "up") == {"d1": 1}
        await daemon.reload(before)
        await daemon.settle()
        assert in_force(daemon, "up") == {"": 1}


async def test_deleted_units_do_not_come_back() -> None:
    spread = source("s", "day", on_delete="propagate")
    files = Manifest("files", (spread,), (WHOLE,))
    async with running(files) as daemon:
        await land(daemon, "d1", "1")
        await land(daemon, "d2", "2")
        await daemon.arrive("s", "d1", deleted=True)
        await daemon.settle()
        for manifest in (STREAM, files):
            await daemon.reload(manifest)
            await daemon.settle()
        assert in_force(daemon, "s") == {"d2": 1}


@pytest.mark.parametrize("other", [FILES, REGIONS, ONE_FILE], ids=lambda manifest: manifest.digest)
async def test_what_waits_to_be_read_waits_for_its_own_kind(other: Manifest) -> None:
    """Records are no file, and a file is no batch: neither is read as the other."""
    async with running(STREAM) as daemon:
        await _pause(daemon, on=True)
        await daemon.send(["k"])
        await daemon.reload(other)
        await _pause(daemon, on=False)
        await daemon.settle()
        assert [task for task in daemon.workers.started if task.kind == "ingest"] == []
        await daemon.reload(STREAM)
        await daemon.settle()
        assert daemon.head("s") == ["k"]


@pytest.mark.parametrize("key", ["", "d1"])
async def test_a_file_that_waits_is_no_batch_of_a_stream(key: str) -> None:
    async with running(FILES if key else ONE_FILE) as daemon:
        await _pause(daemon, on=True)
        daemon.workers.files[f"landing/s/{key}" if key else "landing/s"] = "1"
        await daemon.arrive("s", key, identity=IDENTITY)
        await daemon.reload(STREAM)
        await _pause(daemon, on=False)
        await daemon.settle()
        assert [task for task in daemon.workers.started if task.kind == "ingest"] == []
        await daemon.reload(FILES if key else ONE_FILE)
        await daemon.settle()
        assert whole(daemon) == ["1"]


async def _pause(daemon: StreamDaemon, *, on: bool) -> None:
    await daemon.reactor.tell(lambda _epoch: ([], [Paused((("s", "*"),), on=on)]))
