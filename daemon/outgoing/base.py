"""What delivers events outside: one small protocol, one file a kind."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from afresh.assets.errors import AfreshError

AT_ONCE = 200
"""So many events a target is given at most in one call."""


class TargetError(AfreshError):
    """A target cannot be reached, or does not take what it is given."""


class Delivered(NamedTuple):
    """How many of the events, from the first on, were acknowledged; why not the next.

    `wait_seconds` is what the target asked for, 0 if nothing.
    """

    taken: int
    error: str = ""
    wait_seconds: float = 0.0


class Target(Protocol):
    """One place that is told. Events are CloudEvents in JSON, one line each."""

    async def deliver(self, events: Sequence[bytes]) -> Delivered:
        """Hand on events in this order; those that are taken are durable where they go."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and files."""
        ...
