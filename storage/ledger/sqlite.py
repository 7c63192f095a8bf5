"""The ledger on SQLite: one thread writes; what has gathered shares a transaction and its fsync."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from afresh.assets.errors import LedgerError, LedgerUnavailable, LedgerUnusable
from afresh.storage.ledger.apply import Applier, Outcome
from afresh.storage.ledger.commit import Commit, Done, Row
from afresh.storage.ledger.connection import open_writer
from afresh.storage.ledger.faults import is_lost, is_transient, translate
from afresh.storage.ledger.loop import Post, loop_poster
from afresh.storage.ledger.reader import Reader
from afresh.storage.ledger.revision import check_revision
from afresh.storage.ledger.statements import Statements
from afresh.storage.ledger.wait import commit_and_wait

GROUP = 512
"""The most commits in one transaction."""

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)
_Submitted = tuple[Commit, Done]


class SqliteLedger:
    """A Ledger in one SQLite file, which `acquire_lease` has made or migrated.

    Made inside a running event loop, whose thread gets the answers.

    While the file cannot be written (full disk, locked, read-only) commits queue and `trouble` says
    why; they are applied in order once it is mended. `on_trouble` is told of each change of
    `trouble`, in the loop's thread. A damaged or removed file ends it: every commit is refused.

    Raises LedgerUnavailable or LedgerUnusable when the file cannot be opened for writing.
    """

    def __init__(self, path: Path, on_trouble: Callable[[str], None] | None = None) -> None:
        self.path = path
        self.reader = Reader(path)
        self.trouble = ""
        self._on_trouble = on_trouble
        self._post: Post = loop_poster()
        self._statements = Statements()
        self._connection = self._open()
        self._inode = path.stat().st_ino
        self._lost: LedgerUnusable | None = None
        self._queue: SimpleQueue[_Submitted | None] = SimpleQueue()
        self._closing = Event()
        self._closed = False
        self._thread = Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()

    def submit(self, commit: Commit, done: Done) -> None:
        """Queue a commit; `done` gets None, LedgerConflict, LedgerError or LedgerUnusable.

        LedgerError: a row that does not fit its table.
        LedgerUnavailable: what could not be written before `aclose`.
        """
        if self._closed:
            raise LedgerUnavailable("Expected an open ledger, found it closed")
        self._queue.put((commit, done))

    async def commit(self, commit: Commit) -> None:
        """Submit and wait; a cancelled wait does not take the commit back."""
        await commit_and_wait(self.submit, commit)

    async def rows(self, sql: str, parameters: Row | None = None) -> list[tuple[Any, ...]]:
        """Read committed state in a thread. Raises LedgerUnavailable, LedgerUnusable."""
        return await anyio.to_thread.run_sync(self.reader.rows, sql, parameters)

    async def aclose(self) -> None:
        """Write what was submitted, then close; what cannot be written is refused at once."""
        if self._closed:
            return
        self._closed = True
        self._closing.set()
        self._queue.put(None)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)
        self.reader.close()

    def _open(self) -> sqlite3.Connection:
        try:
            connection = open_writer(self.path)
            try:
                check_revision(connection, self.path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        return connection

    # What follows runs in the writer's thread.

    def _write(self) -> None:
        open_for_more = True
        while open_for_more:
            group, open_for_more = self._next_group()
            if group:
                outcomes = self._settle([commit for commit, _ in group])
                answers = [
                    (done, outcome) for (_, done), outcome in zip(group, outcomes, strict=True)
                ]
                self._post(partial(_answer, answers))
        with suppress(sqlite3.Error):
            self._connection.close()

    def _next_group(self) -> tuple[list[_Submitted], bool]:
        group: list[_Submitted] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) == GROUP:
                return group, True
            try:
                item = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _settle(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Apply a group, however long its trouble lasts; nothing after it overtakes it."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            if self._lost is not None:
                return [self._lost] * len(commits)
            last = self._closing.is_set()
            try:
                outcomes = self._transaction(commits)
            except LedgerUnavailable as error:
                self._tell(str(error))
                if last:
                    return [error] * len(commits)
                self._closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                self._reopen()
            except LedgerUnusable as error:
                self._lost = error
                self._tell(str(error))
            except Exception as error:  # noqa: BLE001  (the writer must answer and go on)
                _log.exception("the ledger's writer met an unexpected error")
                return [LedgerError(f"Expected to write, found: {error!r}")] * len(commits)
            else:
                self._tell("")
                return outcomes

    def _transaction(self, commits: Sequence[Commit]) -> list[Outcome]:
        self._refuse_removed()
        applier = Applier(self._connection, self._statements, str(self.path))
        try:
            try:
                return self._within(applier.group, commits)
            except Exception as error:
                if is_transient(error) or is_lost(error):
                    raise
                return self._within(applier.one_by_one, commits)
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    def _within(
        self, apply: Callable[[Sequence[Commit]], list[Outcome]], commits: Sequence[Commit]
    ) -> list[Outcome]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes = apply(commits)
            connection.execute("COMMIT")
        except BaseException:
            # Some errors have rolled back already.
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        return outcomes

    def _refuse_removed(self) -> None:
        # SQLite goes on writing into a file that was removed: acknowledged, then gone (P1).
        try:
            inode = self.path.stat().st_ino
        except (FileNotFoundError, NotADirectoryError):
            inode = 0
        except OSError as error:
            raise LedgerUnavailable(
                f"Expected to write {self.path}, found: {error.strerror}",
                hint="see that the folder can be reached, the ledger goes on by itself",
            ) from error
        if inode != self._inode:
            raise LedgerUnusable(
                f"Expected the ledger that was opened, found it removed or replaced: {self.path}",
                hint="put it back, or start again with the one that is there",
            )

    def _reopen(self) -> None:
        # A connection may keep a state of its own of a disk that was away or read-only. The new one
        # is opened before the old one is closed: the last to close and the first to open would take
        # a transaction whose sync failed for a committed one, and the retry would apply it twice.
        try:
            connection = open_writer(self.path)
        except sqlite3.Error:
            return
        with suppress(sqlite3.Error):
            self._connection.close()
        self._connection = connection

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            if self._on_trouble is not None:
                self._post(partial(self._on_trouble, trouble))


def _answer(answers: Sequence[tuple[Done, Exception | None]]) -> None:
    for done, error in answers:
        try:
            done(error)
        except Exception:  # noqa: BLE001  (the others must be answered)
            _log.exception("an answer of the ledger was not taken")
