"""The SQLite ledger in trouble: full, locked, read-only, damaged, removed."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest

from afresh.assets.errors import LedgerUnavailable, LedgerUnusable
from afresh.storage.ledger import connection, sqlite
from afresh.storage.ledger.commit import Commit
from afresh.storage.ledger.sqlite import SqliteLedger
from support.ledgers import cursor, event, insert, ledger_file

SEQS = "SELECT seq FROM event ORDER BY seq"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Disk:
    """A disk whose faults can be switched on: connections opened meanwhile have them."""

    def __init__(self) -> None:
        self.fault = ""

    def open(self, path: Path) -> sqlite3.Connection:
        made = connection.open_writer(path)
        if self.fault:
            made.execute(self.fault).fetchall()
        return made


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(sqlite, "open_writer", made.open)
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.01)
    return made


class Troubles:
    """What the ledger told of its trouble, as it came."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._news = anyio.Event()

    def take(self, trouble: str) -> None:
        self.told.append(trouble)
        self._news.set()

    async def wait(self, number: int) -> None:
        with anyio.fail_after(60):
            while len(self.told) < number:
                await self._news.wait()
                self._news = anyio.Event()


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture
async def opened(
    tmp_path: Path,
    disk: Disk,  # noqa: ARG001  (opens the connections)
    troubles: Troubles,
) -> AsyncIterator[Callable[[], SqliteLedger]]:
    path = ledger_file(tmp_path)
    made: list[SqliteLedger] = []

    def open_it() -> SqliteLedger:
        made.append(SqliteLedger(path, troubles.take))
        return made[-1]

    yield open_it
    for ledger in made:
        await ledger.aclose()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param("PRAGMA max_page_count=1", "full", id="full"),
        pytest.param("PRAGMA query_only=ON", "readonly", id="read-only"),
    ],
)
async def test_commits_wait_while_the_disk_takes_nothing(
    opened: Callable[[], SqliteLedger], disk: Disk, troubles: Troubles, fault: str, said: str
) -> None:
    disk.fault = fault
    ledger = opened()
    answers: list[Exception | None] = []
    big = insert("event", *(event(seq, detail="x" * 5000) for seq in (1, 2, 3)))
    ledger.submit(big, answers.append)
    await troubles.wait(1)
    assert said in ledger.trouble
    assert answers == []
    ledger.submit(insert("event", event(4)), answers.append)
    assert await ledger.rows(SEQS) == []

    disk.fault = ""
    await troubles.wait(2)
    await ledger.commit(Commit((cursor("1"),)))
    assert ledger.trouble == ""
    assert answers == [None, None]
    assert await ledger.rows(SEQS) == [(1,), (2,), (3,), (4,)]


async def test_commits_wait_while_another_program_holds_the_lock(
    opened: Callable[[], SqliteLedger], troubles: Troubles
) -> None:
    ledger = opened()
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answers: list[Exception | None] = []
    ledger.submit(insert("event", event(1)), answers.append)
    await troubles.wait(1)
    assert "locked" in troubles.told[0]
    assert answers == []

    other.execute("ROLLBACK")
    other.close()
    await troubles.wait(2)
    await ledger.commit(insert("event", event(2)))
    assert answers == [None]
    assert await ledger.rows(SEQS) == [(1,), (2,)]


async def test_closing_in_trouble_refuses_what_waits(
    opened: Callable[[], SqliteLedger], disk: Disk, troubles: Troubles
) -> None:
    disk.fault = "PRAGMA query_only=ON"
    ledger = opened()
    answers: list[Exception | None] = []
    ledger.submit(insert("event", event(1)), answers.append)
    await troubles.wait(1)
    ledger.submit(insert("event", event(2)), answers.append)
    with anyio.fail_after(60):
        await ledger.aclose()
    await anyio.wait_all_tasks_blocked()
    assert [type(answer) for answer in answers] == [LedgerUnavailable] * 2
    assert await ledger.rows(SEQS) == []


async def test_a_file_that_is_removed_takes_no_more(
    opened: Callable[[], SqliteLedger],
) -> None:
    ledger = opened()
    await ledger.commit(insert("event", event(1)))
    ledger.path.rename(ledger.path.with_name("gone"))
    for seq in (2, 3):
        with pytest.raises(LedgerUnusable, match="removed or replaced"):
            await ledger.commit(insert("event", event(seq)))
    assert "removed" in ledger.trouble


async def test_damage_is_found_when_it_is_met(opened: Callable[[], SqliteLedger]) -> None:
    ledger = opened()
    with ledger.path.open("r+b") as file:
        size = ledger.path.stat().st_size
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(LedgerUnusable, match="damaged"):
        await ledger.commit(insert("event", event(1)))
    with pytest.raises(LedgerUnusable):
        await ledger.commit(Commit((cursor("1"),)))


async def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(LedgerUnavailable):
        SqliteLedger(path)
    path.write_bytes(b"not a database at all" * 1000)
    with pytest.raises(LedgerUnusable):
        SqliteLedger(path)


async def test_a_waiter_that_is_cancelled_takes_nothing_back(tmp_path: Path) -> None:
    ledger = SqliteLedger(ledger_file(tmp_path))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await ledger.commit(insert("event", event(1)))
    await ledger.aclose()
    assert ledger.reader.rows(SEQS) == [(1,)]
    ledger.reader.close()


async def test_a_commit_is_synced(opened: Callable[[], SqliteLedger]) -> None:
    ledger = opened()
    pragmas = ("journal_mode", "synchronous", "wal_autocheckpoint")
    found = [ledger._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert found == ["wal", 2, 1000]


async def test_an_answer_that_raises_keeps_nobody_from_theirs(
    opened: Callable[[], SqliteLedger], caplog: pytest.LogCaptureFixture
) -> None:
    def raises(_: Exception | None) -> None:
        raise ValueError

    ledger = opened()
    ledger.submit(insert("event", event(1)), raises)
    await ledger.commit(insert("event", event(2)))
    assert "not taken" in caplog.text
