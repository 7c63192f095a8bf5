"""Reading a SQLite ledger with nothing but the standard library: the command line's fast path."""

# Paths are strings: pathlib is slow to import.
# ruff: noqa: PTH100, PTH110, PTH202

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from afresh.assets.errors import LedgerError, LedgerUnavailable
from afresh.storage.ledger.faults import translate
from afresh.storage.ledger.revision import check_revision

if TYPE_CHECKING:
    from pathlib import Path

BUSY_SECONDS = 2.0


class Reader:
    """A read-only connection to a ledger; reads are short, so that the log of writes stays small.

    May be used by several threads. Opens at the first read.
    """

    def __init__(self, path: "Path | str") -> None:
        self.path = os.fspath(path)
        self._connection: sqlite3.Connection | None = None
        self._lock = RLock()

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query with named `:parameters`.

        Raises LedgerUnavailable (no ledger there, locked), LedgerUnusable (damaged).
        """
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = self._open()
                return self._connection.execute(sql, parameters or {}).fetchall()
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    @contextmanager
    def snapshot(self) -> Iterator[Self]:
        """Let all reads within see one state of the ledger. Keep it short."""
        with self._lock:
            self.rows("BEGIN")
            try:
                yield self
            finally:
                with suppress(LedgerError):
                    self.rows("COMMIT")

    def close(self) -> None:
        """Close the connection; a later read opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _open(self) -> sqlite3.Connection:
        if not os.path.exists(self.path):
            raise LedgerUnavailable(
                f"Expected a ledger, found no file {self.path}",
                hint="`afresh up` makes one",
            )
        try:
            return self._connect("mode=ro")
        except sqlite3.OperationalError:
            # Reading a WAL needs its shared memory file, which this user cannot make. Nobody
            # writes and nothing waits in a log: the file alone is the whole state.
            if self._has_log() or self._is_held():
                raise
            return self._connect("mode=ro&immutable=1")

    def _has_log(self) -> bool:
        log = f"{self.path}-wal"
        return os.path.exists(log) and os.path.getsize(log) > 0

    def _is_held(self) -> bool:
        # Lazy: only where the ledger does not open the usual way.
        from pathlib import Path  # noqa: PLC0415

        from afresh.storage.ledger.lock import is_held  # noqa: PLC0415

        return is_held(Path(self.path).parent)

    def _connect(self, options: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file://{_quoted(os.path.abspath(self.path))}?{options}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA query_only=ON")
            check_revision(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection


def _quoted(path: str) -> str:
    """Write a path for SQLite's URIs: only what would end it has a meaning there."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
