"""Alerts: on the first failure of a unit or sensor and on its recovery, once each, to its owner."""

import logging
from collections import deque
from collections.abc import Callable, Sequence

import anyio

from afresh.daemon.notifiers.base import Alert, Notifier
from afresh.storage.ledger.commit import Commit, Ledger, Require, Update

_log = logging.getLogger("afresh.alerts")
TRIES = 3
PAUSE_SECONDS = 2.0
MOST_WAITING = 10_000


class Alerts:
    """What is in trouble, by subject.

    Kept in the ledger, so that a restart does not tell it again.
    """

    def __init__(
        self,
        notifiers: Sequence[Notifier],
        ledger: Ledger,
        require: tuple[Require, ...],
        now: Callable[[], float],
        open_subjects: set[str],
    ) -> None:
        self._notifiers = notifiers
        self._ledger = ledger
        self._require = require
        self._now = now
        self._open = open_subjects
        self._waiting = deque[Alert]()
        self._changed = anyio.Event()

    def failed(self, subject: str, error: str, why: tuple[str, ...], owner: str) -> None:
        """Something failed; told if it was well before."""
        if subject in self._open:
            return
        self._open.add(subject)
        row = {"subject": subject, "state": "failed", "since": self._now(), "detail": error}
        self._record(Update("upsert", "alert", [row]))
        self._tell(Alert(subject, "failed", error, why, owner, self._now()))

    def recovered(self, subject: str, owner: str) -> None:
        """It is well again; told if its failure was."""
        if subject not in self._open:
            return
        self._open.discard(subject)
        self._record(Update("delete", "alert", [{"subject": subject}]))
        self._tell(Alert(subject, "recovered", "", (), owner, self._now()))

    async def run(self) -> None:
        """Deliver until cancelled; the daemon's work waits for no notifier."""
        while True:
            while self._waiting:
                for notifier in self._notifiers:
                    await self._deliver(notifier, self._waiting[0])
                self._waiting.popleft()
                self._wake()
            await self._changed.wait()

    async def drain(self) -> None:
        """Wait until all that waits is told, or given up: nobody tells it after a stop."""
        while self._waiting:
            await self._changed.wait()

    async def _deliver(self, notifier: Notifier, alert: Alert) -> None:
        for number in range(1, TRIES + 1):
            try:
                await notifier.notify(alert)
            except Exception as error:  # noqa: BLE001 - a notifier may be anybody's: it costs this alert alone
                said = str(error) or repr(error)
                _log.warning("alert %s, try %d of %d: %s", alert.subject, number, TRIES, said)
            else:
                return
            if number < TRIES:
                await anyio.sleep(PAUSE_SECONDS * number)

    def _record(self, update: Update) -> None:
        self._ledger.submit(Commit((update,), self._require), _ignore)

    def _tell(self, alert: Alert) -> None:
        if not self._notifiers:
            return
        if len(self._waiting) >= MOST_WAITING:
            _log.warning("too many alerts wait to be delivered: %s is dropped", alert.subject)
            return
        self._waiting.append(alert)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _ignore(error: Exception | None) -> None:
    """An alert that is not recorded is told again after a restart: at least once."""
    del error
