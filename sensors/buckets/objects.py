"""What is known of the objects of one source, and what is on its way to the journal (P1).

`known` is what was acknowledged. Two objects of one key are refused, both named, until one is gone.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping

import anyio
import msgspec

from afresh.assets.partition import Pattern
from afresh.sensors.base import Arrival, ObjectIdentity
from afresh.sensors.buckets.store import Entry, state_of
from afresh.sensors.buckets.url import object_path, object_uri
from afresh.sensors.key_paths import KeyPaths

NAMED_AT_MOST = 4
ROOM = 2_000
"""More than so many arrivals do not wait to be handed on: who lists waits instead."""


class Offer(msgspec.Struct, frozen=True):
    """An arrival on its way; `state` is None for a deletion."""

    number: int
    arrival: Arrival
    state: int | None


class Objects:
    """The objects of a source, by path. `known` maps recorded uris to their identities."""

    def __init__(
        self, name: str, pattern: Pattern, protocol: str, known: Mapping[str, ObjectIdentity]
    ) -> None:
        self.name = name
        self.pattern = pattern
        self.protocol = protocol
        self.known: dict[str, int] = {}
        self.again: dict[str, None] = {}
        """What is news though it did not change, as a rival came or went: to be looked at."""
        self.on_again: Callable[[str], None] = lambda _path: None
        """Asks for such a look."""
        self.acknowledged = 0
        self._paths = KeyPaths()
        self._refused: set[str] = set()
        self._inbox: dict[str, Offer] = {}
        self._flying: dict[str, Offer] = {}
        self._numbers = itertools.count(1)
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._news = anyio.Event()
        self._progress = anyio.Event()
        for uri, identity in known.items():
            path = object_path(uri)
            key = pattern.match(path)
            if key is not None and uri == object_uri(protocol, path):
                self.known[path] = state_of(identity)
                self._paths.add(path, key)

    def __len__(self) -> int:
        """How many arrivals are not acknowledged."""
        return len(self._inbox)

    def current(self, path: str) -> int | None:
        """Give the state that was last said of an object; None for no object."""
        offer = self._inbox.get(path)
        return offer.state if offer is not None else self.known.get(path)

    def ours(self, page: Iterable[Entry]) -> list[Entry]:
        """Leave the objects whose names match, and note that they are there."""
        matched = []
        for entry in page:
            key = self.pattern.match(entry.path)
            if key is not None:
                matched.append(entry)
                self._paths.add(entry.path, key)
        return matched

    def arrive(self, entry: Entry, observed_at: float) -> None:
        """Report that an object is there, in this state; it is one of `ours`."""
        path = entry.path
        key = self.pattern.match(path)
        assert key is not None
        rivals = self._paths.rivals(path, key, NAMED_AT_MOST)
        problem = self._refuse(path, key, rivals) if rivals else ""
        if not rivals:
            self._refused.discard(path)
        self.again.pop(path, None)
        self._put(path, key, observed_at, entry.identity, problem)

    def leave(self, path: str, observed_at: float) -> None:
        """Report that an object is gone, if anybody was told of it."""
        key = self.pattern.match(path)
        if key is None:
            return
        self._paths.discard(path, key)
        self.again.pop(path, None)
        self._refused.discard(path)
        told = self._flying.get(path)
        was_told = path in self.known if told is None else told.state is not None
        if not was_told:
            if self._inbox.pop(path, None) is not None:
                self._tell_waiting([path])
        elif self.current(path) is not None:
            self._put(path, key, observed_at)
        left = self._paths.rivals(path, key, NAMED_AT_MOST)
        if len(left) == 1 and (was_told or left[0] in self._refused):
            self._look_again(left[0])

    def confirm(self, uri: str, identity: ObjectIdentity) -> None:
        """Note what an ingest has read: then it is not news, though later than what was reported.

        What is on its way is newer still.
        """
        path = object_path(uri)
        if path in self.known and path not in self._inbox:
            self.known[path] = state_of(identity)

    # Handing on

    def take(self, limit: int) -> dict[str, Offer]:
        """Give the first arrivals that are to be handed on; they stay until acknowledged."""
        self._flying = dict(itertools.islice(self._inbox.items(), limit))
        return self._flying

    def acknowledge(self, offers: Mapping[str, Offer]) -> None:
        """Note that these are recorded."""
        for path, offer in offers.items():
            if offer.state is None:
                self.known.pop(path, None)
            else:
                self.known[path] = offer.state
            if self._inbox.get(path) is offer:
                del self._inbox[path]
        self._flying = {}
        self.acknowledged += len(offers)
        self._tell_waiting(offers)

    def when_told(self, path: str, then: Callable[[], None]) -> None:
        """Call back when nothing of an object is on its way: now, or at its acknowledgement."""
        if path in self._inbox:
            self._waiting.setdefault(path, []).append(then)
        else:
            then()

    async def news(self) -> None:
        """Wait until there is something to hand on."""
        while not self._inbox:
            self._news = anyio.Event()
            await self._news.wait()

    async def room(self) -> None:
        """Wait until not too much waits to be handed on."""
        while len(self._inbox) >= ROOM:
            await self.progress()

    async def progress(self) -> None:
        """Wait for the next acknowledgement."""
        await self._progress.wait()

    async def flush(self) -> None:
        """Wait until what is on its way now is acknowledged."""
        last = max((offer.number for offer in self._inbox.values()), default=0)
        while any(offer.number <= last for offer in itertools.islice(self._inbox.values(), 1)):
            await self.progress()

    def wake(self) -> None:
        """Wake whoever waits for progress: there may be none."""
        self._progress.set()
        self._progress = anyio.Event()

    def _put(
        self,
        path: str,
        key: str,
        observed_at: float,
        identity: ObjectIdentity | None = None,
        problem: str = "",
    ) -> None:
        arrival = Arrival(
            uri=object_uri(self.protocol, path),
            kind="arrived" if identity is not None else "deleted",
            partition=key,
            observed_at=observed_at,
            identity=identity,
            problem=problem,
        )
        state = state_of(identity) if identity is not None else None
        self._inbox.pop(path, None)  # it goes to the end
        self._inbox[path] = Offer(next(self._numbers), arrival, state)
        self._news.set()

    def _tell_waiting(self, paths: Iterable[str]) -> None:
        for path in paths:
            if path not in self._inbox:
                for then in self._waiting.pop(path, ()):
                    then()
        self.wake()

    # Two objects of one key

    def _look_again(self, path: str) -> None:
        if path not in self.again:
            self.again[path] = None
            self.on_again(path)

    def _refuse(self, path: str, key: str, rivals: list[str]) -> str:
        for rival in rivals:
            if rival not in self._refused:
                self._look_again(rival)
        self._refused.add(path)
        uris = [object_uri(self.protocol, name) for name in sorted([path, *rivals])]
        more = " and maybe more" if len(rivals) == NAMED_AT_MOST else ""
        what = f"key {key}" if key else f"source {self.name}"
        return f"Expected one object for {what}, found {', '.join(uris)}{more}"
