"""What streams leave behind is removed when nothing needs it, and never before."""

from pathlib import Path
from typing import Any

import pytest

from afresh.assets.manifest import Manifest
from afresh.daemon.streams import leftovers
from afresh.daemon.streams.leftovers import (
    AGAIN_SECONDS,
    GRACE_SECONDS,
    KEEP_BATCHES_SECONDS,
    StreamFiles,
    remove_unnamed,
)
from afresh.storage.ledger.commit import Commit, Update
from afresh.storage.ledger.memory import MemoryLedger
from support.streaming import StreamDaemon, StreamWorkers, stream

pytestmark = pytest.mark.anyio


def event(seq: int, at: float, state: str, staged: str) -> dict[str, object]:
    row = {"epoch": None, "sensor": "s", "source": "s", "partition": "", "kind": "arrived"}
    return row | {
        "seq": seq,
        "uri": f"x://{seq}",
        "observed_at": at,
        "state": state,
        "run": None,
        "detail": "",
        "identity": "",
        "payload": b"" if staged else b"records",
        "staged": staged,
        "position": "",
    }


def put(ledger: MemoryLedger, table: str, rows: list[dict[str, object]]) -> None:
    ledger.submit(Commit((Update("insert", table, rows),)), lambda _error: None)


def files(ledger: MemoryLedger, now: float) -> StreamFiles:
    daemon = StreamDaemon(Manifest("d", (stream(),)), StreamWorkers(), ledger)
    return StreamFiles(daemon.reactor, ledger.reader.rows, lambda: now)


async def test_artifacts_go_after_a_grace(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    paths = [tmp_path / name for name in ("old", "new", "gone")]
    for path in paths[:2]:
        path.write_bytes(b"x")
    put(
        ledger,
        "garbage",
        [{"uri": str(path), "at": at} for path, at in zip(paths, (0.0, 50.0, 0.0), strict=True)],
    )
    assert await files(ledger, GRACE_SECONDS - 1).collect() == 0
    assert await files(ledger, GRACE_SECONDS + 1).collect() == 2
    assert [path.exists() for path in paths] == [False, True, False]
    assert ledger.reader.rows("SELECT uri FROM garbage") == [(str(paths[1]),)]


async def test_artifacts_go_however_many_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_PAGE", 2)
    ledger = MemoryLedger()
    paths = [tmp_path / str(number) for number in range(7)]
    for path in paths:
        path.write_bytes(b"x")
    put(ledger, "garbage", [{"uri": str(path), "at": 0.0} for path in paths])
    assert await files(ledger, GRACE_SECONDS + 1).collect() == 7
    assert not any(path.exists() for path in paths)


async def test_what_cannot_be_deleted_holds_up_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_PAGE", 2)
    ledger = MemoryLedger()
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    after = tmp_path / "c"
    after.write_bytes(b"x")
    put(ledger, "garbage", [{"uri": str(path), "at": 0.0} for path in (*folders, after)])
    now = GRACE_SECONDS + 1
    assert await files(ledger, now).collect() == 1
    assert not after.exists()
    for folder in folders:
        folder.rmdir()
        folder.write_bytes(b"x")
    assert await files(ledger, now + 1).collect() == 0
    assert await files(ledger, now + AGAIN_SECONDS + GRACE_SECONDS + 1).collect() == 2
    assert ledger.reader.rows("SELECT uri FROM garbage") == []


async def test_the_journal_is_walked_through_once_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leftovers, "_PAGE", 2)
    monkeypatch.setattr(leftovers, "_MOST_PAGES", 2)
    ledger = MemoryLedger()
    put(ledger, "event", [event(seq, 0.0, "ingested", "") for seq in range(1, 8)])
    put(ledger, "event", [event(8, KEEP_BATCHES_SECONDS, "ingested", "")])
    found = files(ledger, KEEP_BATCHES_SECONDS + 10)
    assert [await found.forget_batches() for _ in range(3)] == [4, 3, 0]
    asked: list[int] = []
    read = found._read

    def listen(sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        asked.append(parameters["after"])
        return read(sql, parameters)

    monkeypatch.setattr(found, "_read", listen)
    assert await found.forget_batches() == 0
    assert asked == [7]


async def test_bytes_of_events_go_when_they_were_read_long_ago(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    old, waiting, shared = (tmp_path / name for name in ("old", "waiting", "shared"))
    for path in (old, waiting, shared):
        path.write_bytes(b"x")
    put(
        ledger,
        "event",
        [
            event(1, 0.0, "ingested", str(old)),
            event(2, 0.0, "pending", str(waiting)),
            event(3, 0.0, "dead", str(shared)),
            event(4, 0.0, "ingested", ""),
            event(5, KEEP_BATCHES_SECONDS, "ingested", str(shared)),
            event(6, KEEP_BATCHES_SECONDS, "ingested", ""),
        ],
    )
    found = files(ledger, KEEP_BATCHES_SECONDS + 10)
    assert await found.forget_batches() == 3
    assert [path.exists() for path in (old, waiting, shared)] == [False, True, True]
    kept = ledger.reader.rows(
        "SELECT seq FROM event WHERE staged <> '' OR LENGTH(payload) > 0 ORDER BY seq"
    )
    assert [row[0] for row in kept] == [2, 5, 6]
    assert await found.forget_batches() == 0


def test_at_a_start_what_no_event_names_goes(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    folder = tmp_path / "staged" / "s"
    folder.mkdir(parents=True)
    named, orphan = folder / "1", folder / "2"
    for path in (named, orphan):
        path.write_bytes(b"x")
    put(ledger, "event", [event(1, 0.0, "pending", f"{folder}/../s/1")])
    assert remove_unnamed(str(tmp_path / "staged"), ledger.reader.rows) == 1
    assert (named.exists(), orphan.exists()) == (True, False)
    assert remove_unnamed(str(tmp_path / "none"), ledger.reader.rows) == 0
