"""Reading a ledger that another process writes, or nobody."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from afresh.assets.errors import LedgerError, LedgerUnavailable, LedgerUnusable
from afresh.storage.ledger import lock
from afresh.storage.ledger.lock import Holder
from afresh.storage.ledger.reader import Reader
from afresh.storage.ledger.sqlite import SqliteLedger
from support.ledgers import event, insert, ledger_file

COUNT = "SELECT count(*) FROM event"


async def test_committed_state_is_seen_at_once(tmp_path: Path) -> None:
    ledger = SqliteLedger(ledger_file(tmp_path))
    with Reader(ledger.path) as reader:
        for seq in (1, 2, 3):
            await ledger.commit(insert("event", event(seq)))
            assert reader.rows(COUNT) == [(seq,)]
    await ledger.aclose()


async def test_a_snapshot_sees_one_state(tmp_path: Path) -> None:
    ledger = SqliteLedger(ledger_file(tmp_path))
    with Reader(ledger.path) as reader:
        with reader.snapshot():
            assert reader.rows(COUNT) == [(0,)]
            await ledger.commit(insert("event", event(1)))
            assert reader.rows(COUNT) == [(0,)]
        assert reader.rows(COUNT) == [(1,)]
    await ledger.aclose()


def test_what_goes_wrong_in_a_snapshot_is_what_is_raised(tmp_path: Path) -> None:
    reader = Reader(ledger_file(tmp_path))

    def fail() -> None:
        with reader.snapshot():
            reader.rows("ROLLBACK")  # as SQLite itself does after some errors
            raise ZeroDivisionError

    with reader, pytest.raises(ZeroDivisionError):
        fail()


def test_nothing_can_be_written(tmp_path: Path) -> None:
    with Reader(ledger_file(tmp_path)) as reader, pytest.raises(LedgerUnavailable):
        reader.rows("DELETE FROM event")


def test_a_wrong_query_is_an_error_of_ours(tmp_path: Path) -> None:
    with Reader(ledger_file(tmp_path)) as reader, pytest.raises(LedgerError, match="no such table"):
        reader.rows("SELECT * FROM nowhere")


def test_no_file_is_said_so_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="found no file"):
        Reader(tmp_path / "ledger.sqlite").rows(COUNT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("revision", "said"), [("9999", "newer release"), ("0000", "newer"), (None, "empty one")]
)
def test_another_revision_is_refused(tmp_path: Path, revision: str | None, said: str) -> None:
    path = ledger_file(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM alembic_version")
        if revision is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    connection.close()
    with pytest.raises(LedgerUnusable, match=said):
        Reader(path).rows(COUNT)


def _cannot_make_shared_memory(monkeypatch: pytest.MonkeyPatch, opened: list[str]) -> None:
    """Make the first opening fail as it does for a user who may not write the folder."""
    real = sqlite3.connect

    def connect(address: str, **given: object) -> sqlite3.Connection:
        opened.append(address)
        if "immutable" not in address:
            raise sqlite3.OperationalError("unable to open database file")
        return real(address, **given)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect)


def test_without_leave_to_write_a_ledger_at_rest_is_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ledger_file(tmp_path)
    opened: list[str] = []
    _cannot_make_shared_memory(monkeypatch, opened)
    with Reader(path) as reader:
        assert reader.rows(COUNT) == [(0,)]
    assert len(opened) == 2


@pytest.mark.parametrize("why", ["log", "held"])
def test_without_leave_to_write_one_in_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    path = ledger_file(tmp_path)
    held = lock.take(tmp_path, Holder("up", 1, "here", 1.0)) if why == "held" else None
    if why == "log":
        path.with_name("ledger.sqlite-wal").write_bytes(b"x")
    opened: list[str] = []
    _cannot_make_shared_memory(monkeypatch, opened)
    with pytest.raises(LedgerError):
        Reader(path).rows(COUNT)
    assert len(opened) == 1
    if held is not None:
        held.release()


def test_reading_imports_nothing_heavy() -> None:
    code = (
        "import sys; import afresh.storage.ledger.reader, afresh.storage.ledger.queries,"
        " afresh.storage.ledger.listings, afresh.storage.ledger.state,"
        " afresh.storage.ledger.check; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"sqlalchemy", "sqlmodel", "pydantic", "anyio", "alembic", "msgspec"}
    assert "subprocess" not in loaded


def test_reading_a_ledger_at_rest_leaves_it_as_it_was(tmp_path: Path) -> None:
    path = ledger_file(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    before = path.read_bytes()
    for _ in range(2):
        with Reader(path) as reader:
            assert reader.rows(COUNT) == [(0,)]
    assert path.read_bytes() == before
    assert not reader._has_log()
