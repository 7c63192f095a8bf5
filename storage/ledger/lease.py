"""The lease: one daemon writes a ledger, and each of its terms has a number that only grows.

The kernel's lock on `<state>/daemon.lock` decides who is the one; the `lease` row tells who that
is, and its term fences: a commit that requires it is refused to a former holder.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from afresh.storage.ledger import lock
from afresh.storage.ledger.commit import Require
from afresh.storage.ledger.connection import open_writer
from afresh.storage.ledger.faults import translate
from afresh.storage.ledger.lock import Holder, Lock
from afresh.storage.ledger.schema import ensure_schema

_OLD = "SELECT term FROM lease WHERE id = 1"
_TAKE = """
INSERT INTO lease (id, term, holder, pid, host, socket, acquired_at, released_at)
VALUES (1, :term, :name, :pid, :host, :socket, :acquired_at, NULL)
ON CONFLICT (id) DO UPDATE SET
term = excluded.term, holder = excluded.holder, pid = excluded.pid, host = excluded.host,
socket = excluded.socket, acquired_at = excluded.acquired_at, released_at = NULL
"""
_RELEASE = "UPDATE lease SET released_at = :at WHERE id = 1 AND term = :term"


class Lease:
    """A lease that is held: its term, and what a commit requires to be of this term."""

    def __init__(self, path: Path, term: int, holder: Holder, held: Lock) -> None:
        self.path = path
        self.term = term
        self.holder = holder
        self.require = Require("lease", {"id": 1}, {"term": term})
        self._lock = held

    def release(self, now: float) -> None:
        """Give the lease back, at `now` in seconds since the epoch; the ledger is closed before.

        The lock is let go even if the row cannot be written.
        """
        try:
            with closing(open_writer(self.path)) as connection:
                connection.execute(_RELEASE, {"at": now, "term": self.term})
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        finally:
            self._lock.release()


def acquire_lease(path: Path, holder: Holder) -> Lease:
    """Take the lease of the ledger at `path`, made or migrated first; the lock is in its folder.

    Blocks: milliseconds, or about a second to make or migrate the ledger. Raises LedgerUnavailable
    (another holds it, and who; cannot be written), LedgerUnusable (damaged, newer, network disk).
    """
    held = lock.take(path.parent, holder)
    try:
        ensure_schema(path)
        return Lease(path, _take_term(path, holder), holder, held)
    except BaseException:
        held.release()
        raise


def _take_term(path: Path, holder: Holder) -> int:
    try:
        with closing(open_writer(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            old = connection.execute(_OLD).fetchone()
            term = 1 if old is None else int(old[0]) + 1
            connection.execute(_TAKE, {"term": term, **holder._asdict()})
            connection.execute("COMMIT")
            return term
    except sqlite3.Error as error:
        raise translate(error, path) from error
