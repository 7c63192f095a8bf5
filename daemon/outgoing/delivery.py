"""Delivers one target's events in order, again and again until they are acknowledged."""

import logging
from collections.abc import Callable, Sequence
from random import Random

import anyio

from afresh.daemon.outgoing.base import AT_ONCE, Delivered, Target
from afresh.daemon.outgoing.outbox import Outbox
from afresh.sensors.backoff import Backoff
from afresh.storage.ledger.commit import Commit, Ledger, Require, Update
from afresh.storage.ledger.state import Read

_log = logging.getLogger("afresh.outgoing")
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
ALERT_AFTER = 5
"""Failures in a row after which somebody is told."""
MOST_WAITING = 10_000
"""Above it somebody is told: nothing is dropped, but the outbox grows."""
_NEXT = "SELECT number, payload FROM outgoing WHERE target = :target ORDER BY number LIMIT :at_once"

Alert = Callable[[str, str], None]
"""Given a subject and an error ("" when it is well, which it may have been before)."""


class Delivery:
    """One target's task."""

    def __init__(
        self,
        name: str,
        target: Target,
        outbox: Outbox,
        *,
        ledger: Ledger,
        read: Read,
        require: tuple[Require, ...],
        random: Random,
        alert: Alert,
    ) -> None:
        self.name = name
        # None: what an earlier daemon told of it is not known here.
        self._is_troubled: bool | None = None
        self._target = target
        self._outbox = outbox
        self._ledger = ledger
        self._read = read
        self._require = require
        self._backoff = Backoff(random, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._alert = alert

    async def run(self) -> None:
        """Deliver until cancelled."""
        failures = 0
        try:
            while True:
                rows = self._read(_NEXT, {"target": self.name, "at_once": AT_ONCE})
                if not rows:
                    await self._outbox.news()
                    continue
                done = await self._deliver([str(payload).encode() for _, payload in rows])
                if done.taken:
                    await self._forget([number for number, _ in rows[: done.taken]])
                    failures = 0
                if done.error:
                    failures += 1
                    await self._rest(done.error, failures, done.wait_seconds)
                else:
                    waiting = self._outbox.waiting[self.name]
                    self._note(f"{waiting} events wait" if waiting > MOST_WAITING else "")
        finally:
            with anyio.CancelScope(shield=True):
                await self._target.aclose()

    async def _deliver(self, events: Sequence[bytes]) -> Delivered:
        try:
            return await self._target.deliver(events)
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this target alone
            _log.exception("outgoing %s failed", self.name)
            return Delivered(0, str(error) or type(error).__name__)

    async def _forget(self, numbers: list[int]) -> None:
        """Delete what was acknowledged; a crash before that delivers it again."""
        gone = [{"number": number} for number in numbers]
        await self._ledger.commit(Commit((Update("delete", "outgoing", gone),), self._require))
        self._outbox.forget(self.name, len(numbers))

    async def _rest(self, error: str, failures: int, wanted: float) -> None:
        """Wait a time that grows, or as long as the target asked for."""
        waiting = self._outbox.waiting[self.name]
        if failures >= ALERT_AFTER or waiting > MOST_WAITING:
            self._note(f"{error} ({waiting} events wait)")
        if failures in (1, ALERT_AFTER):
            _log.warning("outgoing %s, %d events wait: %s", self.name, waiting, error)
        if failures == 1:
            self._backoff.reset()
        await anyio.sleep(max(wanted, self._backoff.next_seconds()))

    def _note(self, error: str) -> None:
        if self._is_troubled is not bool(error):
            self._alert(f"outgoing {self.name}", error)
        self._is_troubled = bool(error)
