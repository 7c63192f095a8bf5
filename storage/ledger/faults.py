"""What SQLite's errors mean for a ledger: it can be mended, it is lost, or the commit is wrong."""

import sqlite3
from typing import TYPE_CHECKING

from afresh.assets.errors import LedgerConflict, LedgerError, LedgerUnavailable, LedgerUnusable

if TYPE_CHECKING:
    from pathlib import Path

_LOCKED = "another program has locked it: close that, the ledger goes on by itself"
_HINTS = {
    sqlite3.SQLITE_FULL: "the disk is full: make room, the ledger goes on by itself",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: "make the file and its folder writable, the ledger goes on by itself",
    sqlite3.SQLITE_CANTOPEN: "see that the folder exists and is writable",
    sqlite3.SQLITE_IOERR: "see that the disk works and has room, the ledger goes on by itself",
    sqlite3.SQLITE_PERM: "make the file and its folder writable",
    sqlite3.SQLITE_NOMEM: "the machine is out of memory, the ledger goes on by itself",
    sqlite3.SQLITE_PROTOCOL: "another program has locked it: close that",
}
_LOST = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


def _primary(error: BaseException) -> int:
    """Return SQLite's primary result code (the low byte of the extended one), 0 for none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_transient(error: BaseException) -> bool:
    """Whether the same commit may succeed later: full, locked, read-only, an I/O error."""
    return isinstance(error, sqlite3.Error) and _primary(error) in _HINTS


def is_lost(error: BaseException) -> bool:
    """Whether the file itself is damaged, so that nothing more can be written."""
    return isinstance(error, sqlite3.Error) and _primary(error) in _LOST


def translate(error: BaseException, path: "Path | str") -> LedgerError:
    """Return the error of ours for one that came from SQLite or from binding a value."""
    code = _primary(error)
    if code in _LOST:
        return LedgerUnusable(
            f"Expected an intact ledger, found {path} damaged: {error}",
            hint="restore the file from a backup, or move it away to begin anew",
        )
    if code in _HINTS:
        return LedgerUnavailable(
            f"Expected to write {path}, found: {error}",
            hint=_HINTS[code],
        )
    if isinstance(error, sqlite3.IntegrityError) and "NOT NULL" not in str(error):
        return LedgerConflict(f"Expected new rows, found: {error}")
    return LedgerError(f"Expected rows that fit their tables, found: {error}")
