"""A commit is a value: requirements and updates, applied in one transaction (after Iceberg).

A requirement that fails is a `LedgerConflict` and nothing of that commit is applied; other commits
of the same group are not touched. No lock is held across I/O: data first, metadata last.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Row = Mapping[str, Any]
"""Column name to value; values are int, float, str, bytes, bool or None."""


@dataclass(frozen=True, slots=True)
class Require:
    """The row with this key has these values (`values` None: there is no such row)."""

    table: str
    key: Row
    values: Row | None


@dataclass(frozen=True, slots=True)
class Update:
    """Rows for one table.

    insert: new rows. upsert: insert, or replace the given columns where the primary key exists.
    patch: change the given columns of existing rows (each row has the primary key; rows that do
    not exist are ignored). delete: rows by primary key. All rows of one update have the same
    columns; columns that are not given have the defaults of `tables` when a row is new.
    """

    op: Literal["insert", "upsert", "patch", "delete"]
    table: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction's worth of change."""

    updates: tuple[Update, ...]
    requires: tuple[Require, ...] = ()


Done = Callable[[Exception | None], None]


class Ledger(Protocol):
    """The metadata database, the one source of truth. Commits apply in the order of submission."""

    def submit(self, commit: Commit, done: Done) -> None:
        """Queue a commit without waiting.

        `done` is called in the loop's thread when it is durable or refused.
        """
        ...

    async def commit(self, commit: Commit) -> None:
        """Submit and wait. Raises LedgerConflict, LedgerUnavailable, LedgerUnusable."""
        ...

    async def rows(self, sql: str, parameters: Row | None = None) -> list[tuple[Any, ...]]:
        """Read committed state with a query of `queries` (plain SQL, named `:parameters`)."""
        ...

    async def aclose(self) -> None:
        """Finish what was submitted, then close."""
        ...
