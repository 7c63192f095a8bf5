"""Which revision a ledger has, and what is refused: newer, damaged, no ledger at all."""

from sqlite3 import Connection
from typing import TYPE_CHECKING

from afresh.assets.errors import LedgerUnusable

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "0004"
"""The newest revision this release knows: the last file in migrations/versions."""

REVISIONS = ("0001", "0002", "0003", "0004")
"""All revisions this release can read or migrate from, oldest first."""

SUSPECT_BYTES = 50 * 1024 * 1024
"""Smaller ledgers are checked in full at a start; for larger ones it would take too long."""


def stored_revision(connection: Connection) -> str | None:
    """Return the revision in the ledger, None of an empty database.

    Raises sqlite3.DatabaseError, and LedgerUnusable for a database that is not a ledger.
    """
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if not names:
        return None
    if "alembic_version" not in names:
        found = ", ".join(sorted(names)[:3])
        raise LedgerUnusable(
            f"Expected a ledger, found another database (with {found})",
            hint="point `ledger` in afresh.toml to a file of its own",
        )
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def check_revision(connection: Connection, path: "Path | str") -> None:
    """Raise LedgerUnusable unless the ledger is of the very revision that this release writes."""
    revision = stored_revision(connection)
    refuse_newer(revision, path)
    if revision != HEAD:
        raise LedgerUnusable(
            f"Expected a ledger of revision {HEAD}, found {revision or 'an empty one'} in {path}",
            hint="`afresh up` migrates it",
        )


def refuse_newer(revision: str | None, path: "Path | str") -> None:
    """Raise LedgerUnusable if the ledger is of a release that is newer than this one."""
    if revision is not None and revision not in REVISIONS:
        raise LedgerUnusable(
            f"Expected a ledger of revision {HEAD} or older, found {revision} in {path}",
            hint="it was written by a newer release of afresh: install that one",
        )


def refuse_damaged(connection: Connection, path: "Path | str") -> None:
    """Raise LedgerUnusable if SQLite finds the file damaged; reads all of it."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise LedgerUnusable(
            f"Expected an intact ledger, found {path} damaged: {found}",
            hint="restore the file from a backup, or move it away to begin anew",
        )
