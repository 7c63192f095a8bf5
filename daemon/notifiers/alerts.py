"""Alerts: on the first failure of a unit or sensor and on its recovery, once each, to its owner."""

import logging
from collections.abc import Callable, Sequence

import anyio

from afresh.daemon.notifiers.base import Alert, Notifier, NotifierError
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
        self._send, self._receive = anyio.create_memory_object_stream[Alert](MOST_WAITING)

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
        """Deliver until cancelled; the daemon waits for no notifier."""
        async for alert in self._receive:
            for notifier in self._notifiers:
                await self._deliver(notifier, alert)

    async def _deliver(self, notifier: Notifier, alert: Alert) -> None:
        for number in range(1, TRIES + 1):
            try:
                await notifier.notify(alert)
            except NotifierError as error:
                _log.warning("alert %s, try %d: %s", alert.subject, number, error)
                await anyio.sleep(PAUSE_SECONDS * number)
            else:
                return

    def _record(self, update: Update) -> None:
        self._ledger.submit(Commit((update,), self._require), _ignore)

    def _tell(self, alert: Alert) -> None:
        if not self._notifiers:
            return
        try:
            self._send.send_nowait(alert)
        except anyio.WouldBlock:
            _log.warning("too many alerts wait to be delivered: %s is dropped", alert.subject)


def _ignore(error: Exception | None) -> None:
    """An alert that is not recorded is told again after a restart: at least once."""
    del error
