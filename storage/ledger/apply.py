"""Applying commits to an open transaction on a DB-API connection, as few statements as possible.

The ledger's tables know nothing of each other (no foreign keys, no triggers), so updates of
different tables may change places; within one table they keep their order. Neighbouring commits of
one shape then become one `executemany`.
"""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from afresh.assets.errors import LedgerConflict, LedgerError
from afresh.storage.ledger.commit import Commit, Require, Row
from afresh.storage.ledger.faults import is_lost, is_transient, translate
from afresh.storage.ledger.statements import Statement, Statements

Outcome = LedgerError | None


class Applier:
    """Applies commits through one connection, whose transactions the caller begins and ends."""

    def __init__(self, connection: Connection, statements: Statements, path: str) -> None:
        self._connection = connection
        self._statements = statements
        self._path = path
        self._waiting: dict[str, list[tuple[Statement, list[tuple[Any, ...]]]]] = {}

    def group(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Apply commits together; return for each None or why it was refused.

        Raises sqlite3.Error and others when a statement fails: nothing may be kept then, and
        `one_by_one` in a new transaction finds the commit that is to blame.
        """
        self._waiting.clear()
        outcomes: list[Outcome] = []
        for commit in commits:
            conflict = self._conflict(commit)
            outcomes.append(conflict)
            if conflict is None:
                self._gather(commit)
        for table in tuple(self._waiting):
            self._flush(table)
        return outcomes

    def one_by_one(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Apply commits with a savepoint each, so that a bad one is refused alone.

        Raises sqlite3.Error when the database itself is in trouble.
        """
        outcomes: list[Outcome] = []
        for commit in commits:
            self._connection.execute("SAVEPOINT one")
            try:
                outcome = self.group((commit,))[0]
            except Exception as error:
                if is_transient(error) or is_lost(error):
                    raise
                self._connection.execute("ROLLBACK TO one")
                outcome = error if isinstance(error, LedgerError) else translate(error, self._path)
            self._connection.execute("RELEASE one")
            outcomes.append(outcome)
        return outcomes

    def _gather(self, commit: Commit) -> None:
        for change in commit.updates:
            if not change.rows:
                continue
            statement = self._statements.update(change)
            waiting = self._waiting.setdefault(change.table, [])
            if not waiting or waiting[-1][0] is not statement:
                waiting.append((statement, []))
            waiting[-1][1].extend(statement.bind(change.rows))

    def _flush(self, table: str) -> None:
        for statement, rows in self._waiting.pop(table, ()):
            if len(rows) == 1:
                self._connection.execute(statement.text, rows[0])
            else:
                self._connection.executemany(statement.text, rows)

    def _conflict(self, commit: Commit) -> LedgerConflict | None:
        for require in commit.requires:
            self._flush(require.table)
            statement = self._statements.require(require)
            row = self._connection.execute(statement.text, *statement.bind((require.key,)))
            found = row.fetchone()
            if not _holds(require, statement, found):
                return _refusal(require, statement, found)
        return None


def _holds(require: Require, statement: Statement, found: tuple[Any, ...] | None) -> bool:
    if require.values is None or found is None:
        return found is None and require.values is None
    return all(
        value == require.values[name] for name, value in zip(statement.columns, found, strict=False)
    )


def _refusal(
    require: Require, statement: Statement, found: tuple[Any, ...] | None
) -> LedgerConflict:
    wanted = "absent" if require.values is None else _show(require.values)
    seen = "none" if found is None else _show(dict(zip(statement.columns, found, strict=False)))
    return LedgerConflict(
        f"Expected {require.table} ({_show(require.key)}) to be {wanted}, found {seen}"
    )


def _show(row: Row) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row.items()) or "there"
