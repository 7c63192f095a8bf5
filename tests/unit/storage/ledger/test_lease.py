"""One daemon a ledger: who holds it is named, terms grow, and a crash lets go."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from afresh.assets.errors import LedgerConflict, LedgerUnavailable, LedgerUnusable
from afresh.storage.ledger import lock
from afresh.storage.ledger.commit import Commit
from afresh.storage.ledger.lease import acquire_lease
from afresh.storage.ledger.lock import Holder
from afresh.storage.ledger.reader import Reader
from afresh.storage.ledger.sqlite import SqliteLedger
from support.ledgers import cursor, ledger_file
from support.processes import within_block

ROW = "SELECT term, holder, pid, host, socket, acquired_at, released_at FROM lease WHERE id = 1"
ME = Holder("afresh up", 4242, "here", 1_700_000_000.0, "/run/a.sock")

HOLD = """
import os, sys, time
from pathlib import Path
from afresh.storage.ledger.lease import acquire_lease
from afresh.storage.ledger.lock import Holder
held = acquire_lease(Path(sys.argv[1]), Holder("afresh up", os.getpid(), "there", 1.0))
print(held.term, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_PATIENCE_SECONDS", 0.0)


def test_the_first_makes_the_ledger_and_has_term_one(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    lease = acquire_lease(path, ME)
    assert lease.term == 1
    with Reader(path) as reader:
        row = (1, "afresh up", 4242, "here", "/run/a.sock", 1_700_000_000.0, None)
        assert reader.rows(ROW) == [row]
    lease.release(1_700_000_009.0)
    with Reader(path) as reader:
        assert reader.rows(ROW)[0][-1] == 1_700_000_009.0
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_second_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = ledger_file(tmp_path)
    lease = acquire_lease(path, ME)
    assert lock.is_held(tmp_path)
    assert lock.holder_of(tmp_path) == ME
    said = r"afresh up \(pid 4242 on here, since 2023-11-14T22:13:20\+00:00\)"
    with pytest.raises(LedgerUnavailable, match=said):
        acquire_lease(path, ME._replace(pid=1))
    lease.release(2.0)
    assert not lock.is_held(tmp_path)
    assert lock.holder_of(tmp_path) is None
    again = acquire_lease(path, ME)
    assert again.term == 2
    again.release(3.0)


def test_a_holder_that_is_killed_lets_go(tmp_path: Path) -> None:
    path = ledger_file(tmp_path)
    command = [sys.executable, "-c", HOLD, str(path)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with within_block(started) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        assert lock.is_held(tmp_path)
        with pytest.raises(LedgerUnavailable, match=f"pid {other.pid} on there"):
            acquire_lease(path, ME)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert not lock.is_held(tmp_path)
    lease = acquire_lease(path, ME)
    assert lease.term == 2
    lease.release(1.0)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", json.dumps({"pid": 1}).encode()])
def test_a_lock_file_that_says_nothing_names_nobody(tmp_path: Path, content: bytes) -> None:
    path = ledger_file(tmp_path)
    lease = acquire_lease(path, ME)
    (tmp_path / lock.LOCK_FILE).write_bytes(content)
    with pytest.raises(LedgerUnavailable, match=r"found .*daemon.lock locked"):
        acquire_lease(path, ME)
    lease.release(1.0)


def test_a_ledger_that_is_refused_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"no ledger" * 1000)
    with pytest.raises(LedgerUnusable):
        acquire_lease(path, ME)
    assert not lock.is_held(tmp_path)


async def test_a_commit_of_a_former_term_is_refused(tmp_path: Path) -> None:
    path = ledger_file(tmp_path)
    first = acquire_lease(path, ME)
    first.release(1.0)
    second = acquire_lease(path, ME)
    ledger = SqliteLedger(path)
    await ledger.commit(Commit((cursor("1"),), (second.require,)))
    with pytest.raises(LedgerConflict, match=r"term=1, found term=2"):
        await ledger.commit(Commit((cursor("2"),), (first.require,)))
    await ledger.aclose()
    second.release(2.0)
