"""The writing connection to a SQLite ledger: what must be set for P1 to hold at a power cut."""

from pathlib import Path
from sqlite3 import Connection, connect

BUSY_SECONDS = 0.25
"""How long a statement waits for another program's lock before the writer reports trouble."""

# All of them hold for the connection alone, except journal_mode, which the file keeps. A WAL of
# 1000 pages is reused in place; larger ones make slow outliers.
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=1000",
    "PRAGMA trusted_schema=OFF",
)


def open_writer(path: Path) -> Connection:
    """Open an existing ledger for writing; transactions are begun and ended by hand.

    `mode=rw`: a file that has gone is an error, never a new empty ledger. The connection may be
    used by any thread, one at a time. Raises sqlite3.DatabaseError.
    """
    address = f"{path.absolute().as_uri()}?mode=rw"
    connection = connect(
        address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection
