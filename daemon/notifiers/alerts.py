"""Alerts: on the first failure of a unit or sensor and on its recovery, once each, to its owner.

What waits to be told is in the ledger: what a daemon that is killed leaves, the next one tells.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import anyio
import msgspec

from afresh.daemon.notifiers.base import Alert, Notifier
from afresh.storage.ledger import queries
from afresh.storage.ledger.commit import Commit, Ledger, Require, Update
from afresh.storage.ledger.state import Read

_log = logging.getLogger("afresh.alerts")
TRIES = 3
PAUSE_SECONDS = 2.0
MOST_WAITING = 10_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Alert).decode


class Notice(NamedTuple):
    """An alert that is still to be told, and its number in the ledger."""

    number: int
    alert: Alert


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
        *,
        waiting: Sequence[Notice] = (),
    ) -> None:
        self._notifiers = notifiers
        self._ledger = ledger
        self._require = require
        self._now = now
        self._open = open_subjects
        self._waiting = deque(waiting)
        self._number = waiting[-1].number if waiting else 0
        self._changed = anyio.Event()

    @property
    def open_subjects(self) -> list[str]:
        """What failed and is not well again, as far as somebody was told."""
        return sorted(self._open)

    def failed(self, subject: str, error: str, why: tuple[str, ...], owner: str) -> None:
        """Something failed; told if it was well before."""
        if subject in self._open:
            return
        self._open.add(subject)
        row = {"subject": subject, "state": "failed", "since": self._now(), "detail": error}
        alert = Alert(subject, "failed", error, why, owner, self._now())
        self._record(Update("upsert", "alert", [row]), *self._tell(alert))

    def recovered(self, subject: str, owner: str) -> None:
        """It is well again; told if its failure was."""
        if subject not in self._open:
            return
        self._open.discard(subject)
        alert = Alert(subject, "recovered", "", (), owner, self._now())
        self._record(Update("delete", "alert", [{"subject": subject}]), *self._tell(alert))

    async def run(self) -> None:
        """Deliver until cancelled; the daemon's work waits for no notifier."""
        while True:
            while self._waiting:
                number, alert = self._waiting[0]
                for notifier in self._notifiers:
                    await self._deliver(notifier, alert)
                self._record(Update("delete", "notice", [{"number": number}]))
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

    def _record(self, *updates: Update) -> None:
        self._ledger.submit(Commit(updates, self._require), _ignore)

    def _tell(self, alert: Alert) -> list[Update]:
        """Have it told soon, and give the rows that let it outlast this daemon."""
        if not self._notifiers:
            return []
        if len(self._waiting) >= MOST_WAITING:
            _log.warning("too many alerts wait to be delivered: %s is dropped", alert.subject)
            return []
        self._number += 1
        self._waiting.append(Notice(self._number, alert))
        self._wake()
        row = {"number": self._number, "payload": _encode(alert).decode()}
        return [Update("insert", "notice", [row])]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def load_notices(read: Read) -> list[Notice]:
    """Give what the last daemon left to be told, in its order."""
    return [Notice(number, _decode(payload)) for number, payload in read(queries.NOTICES, {})]


def _ignore(error: Exception | None) -> None:
    """An alert that is not recorded is told again after a restart: at least once."""
    del error
