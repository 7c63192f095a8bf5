"""What a sensor said of each path: acknowledged, or on its way to the journal (P1)."""

import itertools
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from afresh.sensors.base import Arrival

S = TypeVar("S")
_NONE: Mapping[str, Any] = {}


class Offer(msgspec.Struct, Generic[S], frozen=True):
    """An arrival on its way; `state` is what tells one state from the next, None: it is gone."""

    number: int
    arrival: Arrival
    state: S | None


class Offers(Generic[S]):
    """By path, in order of their numbers. `known` is what was acknowledged of matched paths."""

    # There may be thousands of sensors.
    __slots__ = ("_flying", "_waiting", "acknowledged", "known", "last")

    def __init__(self) -> None:
        self.known: dict[str, S] = {}
        self.acknowledged = 0
        """How many were, of all."""
        self.last = 0
        """The number of the last one that was put."""
        self._waiting: dict[str, Offer[S]] = {}
        self._flying: Mapping[str, Offer[S]] = _NONE

    def __len__(self) -> int:
        """How many are not acknowledged."""
        return len(self._waiting)

    def __contains__(self, path: str) -> bool:
        """Say whether something of a path is on its way."""
        return path in self._waiting

    @property
    def first(self) -> int:
        """The number of the first one that is not acknowledged; above `last` for none."""
        return next(iter(self._waiting.values())).number if self._waiting else self.last + 1

    def current(self, path: str) -> S | None:
        """Give what was said last of a path; None for nothing, and for what is gone."""
        offer = self._waiting.get(path)
        return offer.state if offer is not None else self.known.get(path)

    def was_told(self, path: str) -> bool:
        """Say whether the last that anybody was told of a matched path is that it is there."""
        told = self._flying.get(path)
        return path in self.known if told is None else told.state is not None

    def put(self, path: str, arrival: Arrival, state: S | None) -> None:
        """Say something of a path, instead of what was not handed on yet; it goes to the end."""
        self.last += 1
        self._waiting.pop(path, None)
        self._waiting[path] = Offer(self.last, arrival, state)

    def withdraw(self, path: str) -> bool:
        """Say nothing of a path after all; False if there was nothing to say."""
        return self._waiting.pop(path, None) is not None

    def take(self, limit: int) -> Mapping[str, Offer[S]]:
        """Give the first ones to be handed on; they stay until they are acknowledged."""
        self._flying = dict(itertools.islice(self._waiting.items(), limit))
        return self._flying

    def doubt(self) -> None:
        """Note that nobody knows whether what was taken is recorded: it stays to be taken."""
        # Of what may be recorded a deletion has to be told; one that may not be, told again.
        self._flying = {p: offer for p, offer in self._flying.items() if offer.state is not None}

    def acknowledge(self, offers: Mapping[str, Offer[S]]) -> None:
        """Note that these are recorded."""
        for path, offer in offers.items():
            if offer.state is None:
                self.known.pop(path, None)
            elif offer.arrival.partition is not None:
                self.known[path] = offer.state
            if self._waiting.get(path) is offer:
                del self._waiting[path]
        self._flying = _NONE
        self.acknowledged += len(offers)
