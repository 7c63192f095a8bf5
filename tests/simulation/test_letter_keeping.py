"""Dead letters are kept within bounds; what is dropped is counted in the journal."""

import json
from typing import Any

import anyio
import pytest

from afresh.assets.manifest import Manifest
from afresh.daemon.streams.letter_keeping import LetterKeeping
from afresh.storage.ledger.memory import MemoryLedger
from support.streaming import StreamDaemon, StreamWorkers, stream

STREAMS = Manifest("d", (stream("s"), stream("t")))


def keeping(daemon: StreamDaemon, **most: int) -> LetterKeeping:
    given: Any = {"most": 10, "most_bytes": 1 << 20, **most}
    read = daemon.ledger.reader.rows
    return LetterKeeping(daemon.reactor, read, anyio.current_time, **given)


def gaps(daemon: StreamDaemon) -> list[tuple[str, dict[str, Any]]]:
    rows = daemon.ledger.reader.rows(
        "SELECT source, position FROM event WHERE kind = 'gap' ORDER BY seq"
    )
    return [(source, json.loads(position)["dead_letters"]) for source, position in rows]


async def test_the_oldest_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afresh.daemon.streams.letter_keeping.AT_ONCE", 4)
    daemon = StreamDaemon(STREAMS, StreamWorkers(), MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        keeper = keeping(daemon)
        for i in range(10):
            await daemon.send([f"bad{i}", str(i)])
        await daemon.send(["bad"], "t")
        await daemon.settle()
        assert await keeper.trim() == 0
        for i in range(10, 15):
            await daemon.send([f"bad{i}"])
        await daemon.settle()
        assert await keeper.trim() == 6
        assert daemon.dead() == [*(f"bad{i}".encode() for i in range(6, 10)), b"bad"] + [
            f"bad{i}".encode() for i in range(10, 15)
        ]
        told = gaps(daemon)
        assert [(s, t["dropped"], t["lost"]) for s, t in told] == [("s", 4, 4), ("s", 2, 2)]
        assert told[0][1]["first"] < told[0][1]["last"] < told[1][1]["first"]
        assert await keeper.trim() == 0
        assert daemon.head("s") == [str(i) for i in range(10)]
        tasks.cancel_scope.cancel()


async def test_bytes_count_as_well_and_what_was_tried_again_goes_first() -> None:
    daemon = StreamDaemon(STREAMS, StreamWorkers(), MemoryLedger())
    async with anyio.create_task_group() as tasks:
        await daemon.start(tasks)
        for i in range(6):
            await daemon.send([f"bad{i}" + 1000 * "x"])
        await daemon.settle()
        with_state = "SELECT seq, number FROM dead_letter ORDER BY seq"
        newest = daemon.ledger.reader.rows(with_state)[-1]
        await set_state(daemon, newest, "replayed")
        oldest = daemon.ledger.reader.rows(with_state)[0]
        await set_state(daemon, oldest, "replaying")
        assert await keeping(daemon, most_bytes=5000).trim() == 2
        assert gaps(daemon)[0][1]["lost"] == 1
        left = daemon.ledger.reader.rows("SELECT state FROM dead_letter ORDER BY seq")
        assert left == [("replaying",), ("dead",), ("dead",), ("dead",)]
        tasks.cancel_scope.cancel()


async def set_state(daemon: StreamDaemon, letter: tuple[int, int], state: str) -> None:
    from afresh.storage.ledger.commit import Commit, Update

    row = {"seq": letter[0], "number": letter[1], "state": state}
    await daemon.ledger.commit(Commit((Update("patch", "dead_letter", [row]),)))
