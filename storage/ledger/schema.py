"""Bringing a ledger to the revision that this release knows.

Checked with one plain query, so that Alembic (and SQLAlchemy with it) is imported only when there
is something to do, and then in a child process: the daemon does not keep it in memory.
"""

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from sqlite3 import DatabaseError, connect

from afresh.assets.errors import LedgerUnavailable
from afresh.storage.ledger.faults import translate
from afresh.storage.ledger.filesystem import make_folder, refuse_network
from afresh.storage.ledger.revision import (
    HEAD,
    SUSPECT_BYTES,
    refuse_damaged,
    refuse_newer,
    stored_revision,
)


def ensure_schema(path: Path) -> None:
    """Create the ledger or migrate it to HEAD; does nothing, quickly, when it is there already.

    Blocks (a child process, about a second) when there is work. The caller holds the lease.
    Raises LedgerUnusable (damaged, newer, on a network file system), LedgerUnavailable.
    """
    make_folder(path.parent)
    refuse_network(path.parent)
    if _inspect(path) == HEAD:
        return
    # -P: a project's own `alembic` folder is not the library.
    command = [sys.executable, "-P", "-m", "afresh.storage.ledger.migrate", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise LedgerUnavailable(
            f"Expected to bring {path} to revision {HEAD}, found: {lines[-1]}",
            hint="nothing was changed; see that the folder is writable and the disk has room",
        )


def _inspect(path: Path) -> str | None:
    """Return the revision, having refused what cannot be used."""
    if not path.exists():
        return None
    try:
        with closing(connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            revision = stored_revision(connection)
            refuse_newer(revision, path)
            if path.stat().st_size < SUSPECT_BYTES:
                refuse_damaged(connection, path)
            return revision
    except DatabaseError as error:
        raise translate(error, path) from error
