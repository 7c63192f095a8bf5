"""What a notifier is: it takes an alert outside. One file a kind; each passes the contract suite.

An alert is tried a few times, and a stop waits for it; one that a kill cuts off is told again by
the next daemon: at least once. `Alert.key` is the same for every attempt, so that a receiver can
tell a repetition from a new alert.
"""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, Protocol

import msgspec

from afresh.assets.errors import AfreshError


class NotifierError(AfreshError):
    """An alert could not be delivered, or a notifier is set up wrongly."""


class Alert(msgspec.Struct, frozen=True):
    """A unit or a sensor failed for the first time, or is well again.

    `subject` is a reference (`orders[2024-01-02]`) or `sensor NAME`; `error` one line; `why` the
    chain from the failure down to its first cause; `at` seconds since the epoch (UTC).
    """

    subject: str
    state: Literal["failed", "recovered"]
    error: str
    why: tuple[str, ...]
    owner: str
    at: float

    @property
    def key(self) -> str:
        """Names this alert: equal for every attempt to deliver it, 32 hexadecimal digits."""
        return sha256(f"{self.subject}\0{self.state}\0{self.at!r}".encode()).hexdigest()[:32]

    @property
    def summary(self) -> str:
        """One line for a subject or a chat message."""
        return f"afresh: {self.subject} {self.state}" + (f": {self.error}" if self.error else "")

    def to_json(self) -> dict[str, Any]:
        """Give the form that every notifier sends: stable keys, ISO 8601 in UTC."""
        return {
            "key": self.key,
            "subject": self.subject,
            "state": self.state,
            "summary": self.summary,
            "error": self.error,
            "why": list(self.why),
            "owner": self.owner,
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="microseconds"),
        }


class Notifier(Protocol):
    """Takes alerts outside."""

    async def notify(self, alert: Alert) -> None:
        """Deliver one alert, within a limit of its own. Raises NotifierError when it cannot."""
        ...
