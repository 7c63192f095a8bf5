"""The ledger in memory: the reference for the others, and the simulator's.

The same statements on a SQLite database in memory, applied at once when they are submitted.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

from afresh.assets.errors import LedgerError, LedgerUnavailable
from afresh.storage.ledger.apply import Applier
from afresh.storage.ledger.commit import Commit, Done, Row
from afresh.storage.ledger.declared import schema_statements
from afresh.storage.ledger.faults import translate
from afresh.storage.ledger.loop import Post
from afresh.storage.ledger.statements import Statements
from afresh.storage.ledger.wait import commit_and_wait


class MemoryReader:
    """Reads a ledger in memory as `Reader` reads a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: Row | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query with named `:parameters`."""
        try:
            return self._connection.execute(sql, parameters or {}).fetchall()
        except sqlite3.Error as error:
            raise translate(error, "the ledger in memory") from error


class MemoryLedger:
    """A Ledger that is as durable as the test wants it to be.

    `post` is how answers are given: by default at once, within `submit`; a simulator passes its
    loop's way (`call_soon`) to have them later.
    """

    def __init__(self, post: Post | None = None) -> None:
        self.trouble = ""
        self._post = post or _at_once
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
        for statement in schema_statements():
            self._connection.execute(statement)
        self.reader = MemoryReader(self._connection)
        self._applier = Applier(self._connection, Statements(), "the ledger in memory")
        self._failures: list[Exception] = []
        self._until_crash: int | None = None
        self._lose_answer = False
        self._closed = False

    def submit(self, commit: Commit, done: Done) -> None:
        """Apply at once; a crashed ledger takes nothing and answers nothing."""
        if self._closed:
            raise LedgerUnavailable("Expected an open ledger, found it closed")
        if self._until_crash == 0:
            return
        if self._failures:
            self._post(partial(done, self._failures.pop(0)))
            return
        self._connection.execute("BEGIN")
        outcome: LedgerError | None
        outcome = self._applier.one_by_one((commit,))[0]
        self._connection.execute("COMMIT")
        if self._until_crash is not None:
            self._until_crash -= 1
            if self._until_crash == 0 and self._lose_answer:
                return
        self._post(partial(done, outcome))

    async def commit(self, commit: Commit) -> None:
        """Submit and wait."""
        await commit_and_wait(self.submit, commit)

    async def rows(self, sql: str, parameters: Row | None = None) -> list[tuple[Any, ...]]:
        """Read committed state."""
        return self.reader.rows(sql, parameters)

    async def aclose(self) -> None:
        """Take no more commits; the state can still be read."""
        self._closed = True

    def __del__(self) -> None:
        """Let go of the database, which stays readable until nobody has the ledger."""
        self._connection.close()

    @property
    def crashed(self) -> bool:
        """Whether the crash that was asked for has come."""
        return self._until_crash == 0

    def fail_next(self, error: Exception) -> None:
        """Refuse the next commit with this error; called again, the one after that too."""
        self._failures.append(error)

    def crash_after(self, commits: int, *, lose_answer: bool = False) -> None:
        """Make that many more commits durable, then be dead: nothing is taken, nothing answered.

        lose_answer: the last one is durable, but the daemon dies before it is told.
        """
        self._until_crash = commits
        self._lose_answer = lose_answer

    def snapshot(self, post: Post | None = None) -> "MemoryLedger":
        """Return a new ledger with what is durable now: what a start-up after a crash finds."""
        other = MemoryLedger(post or self._post)
        self._connection.backup(other._connection)
        return other


def _at_once(function: Callable[[], None]) -> None:
    function()
