"""What is known of the objects of one source, and what is on its way to the journal (P1).

`known` is what was acknowledged. Two objects of one key are refused, both named, until one is gone.
"""

from collections.abc import Callable, Iterable, Mapping

import anyio

from afresh.assets.partition import Pattern
from afresh.sensors.base import Arrival, ObjectIdentity
from afresh.sensors.buckets.store import Entry, state_of
from afresh.sensors.buckets.url import object_path, object_uri
from afresh.sensors.key_paths import KeyPaths, refusal
from afresh.sensors.offers import Offer, Offers

ROOM = 2_000
"""More than so many arrivals do not wait to be handed on: who lists waits instead."""


class Objects:
    """The objects of a source, by path. `known` maps recorded uris to their identities."""

    def __init__(
        self, name: str, pattern: Pattern, protocol: str, known: Mapping[str, ObjectIdentity]
    ) -> None:
        self.name = name
        self.pattern = pattern
        self.protocol = protocol
        self.again: dict[str, None] = {}
        """What is news though it did not change, as a rival came or went: to be looked at."""
        self.on_again: Callable[[str], None] = lambda _path: None
        """Asks for such a look."""
        self._offers: Offers[int] = Offers()
        self._paths = KeyPaths()
        self._refused: set[str] = set()
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._news = anyio.Event()
        self._progress = anyio.Event()
        for uri, identity in known.items():
            path = object_path(uri)
            key = pattern.match(path)
            if key is not None and uri == object_uri(protocol, path):
                self._offers.known[path] = state_of(identity)
                self._paths.add(path, key)

    def __len__(self) -> int:
        """How many arrivals are not acknowledged."""
        return len(self._offers)

    @property
    def known(self) -> Mapping[str, int]:
        """The state of each object that was acknowledged, by path."""
        return self._offers.known

    @property
    def acknowledged(self) -> int:
        """How many arrivals were acknowledged."""
        return self._offers.acknowledged

    def current(self, path: str) -> int | None:
        """Give the state that was last said of an object; None for no object."""
        return self._offers.current(path)

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
        rivals = self._paths.rivals(path, key)
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
        was_told = self._offers.was_told(path)
        if not was_told:
            if self._offers.withdraw(path):
                self._tell_waiting([path])
        elif self.current(path) is not None:
            self._put(path, key, observed_at)
        left = self._paths.rivals(path, key)
        if len(left) == 1 and (was_told or left[0] in self._refused):
            self._look_again(left[0])

    def confirm(self, path: str, identity: ObjectIdentity) -> bool:
        """Note what an ingest has read: then it is not news, though later than what was reported.

        What is on its way is newer still: then False.
        """
        if path not in self.known or path in self._offers:
            return False
        self._offers.known[path] = state_of(identity)
        return True

    # Handing on

    def take(self, limit: int) -> Mapping[str, Offer[int]]:
        """Give the first arrivals that are to be handed on; they stay until acknowledged."""
        return self._offers.take(limit)

    def doubt(self) -> None:
        """Note that nobody knows whether what was taken is recorded."""
        self._offers.doubt()

    def acknowledge(self, offers: Mapping[str, Offer[int]]) -> None:
        """Note that these are recorded."""
        self._offers.acknowledge(offers)
        self._tell_waiting(offers)

    def when_told(self, path: str, then: Callable[[], None]) -> None:
        """Call back when nothing of an object is on its way: now, or at its acknowledgement."""
        if path in self._offers:
            self._waiting.setdefault(path, []).append(then)
        else:
            then()

    async def news(self) -> None:
        """Wait until there is something to hand on."""
        while not self._offers:
            self._news = anyio.Event()
            await self._news.wait()

    async def room(self) -> None:
        """Wait until not too much waits to be handed on."""
        while len(self._offers) >= ROOM:
            await self.progress()

    async def progress(self) -> None:
        """Wait for the next acknowledgement."""
        await self._progress.wait()

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
        self._offers.put(path, arrival, state)
        self._news.set()

    def _tell_waiting(self, paths: Iterable[str]) -> None:
        for path in paths:
            if path not in self._offers:
                for then in self._waiting.pop(path, ()):
                    then()
        self.wake()

    # Two objects of one key

    def refusal(self, path: str, key: str) -> str:
        """Say why an object is not to be read: others of its key are there. "" if none is."""
        rivals = self._paths.rivals(path, key)
        if not rivals or self.current(path) is None:
            return ""
        return self._name_several(key, [path, *rivals])

    def _name_several(self, key: str, paths: Iterable[str]) -> str:
        uris = [object_uri(self.protocol, path) for path in sorted(paths)]
        return refusal("object", self.name, key, uris)

    def _look_again(self, path: str) -> None:
        if path not in self.again:
            self.again[path] = None
            self.on_again(path)

    def _refuse(self, path: str, key: str, rivals: list[str]) -> str:
        for rival in rivals:
            if rival not in self._refused:
                self._look_again(rival)
        self._refused.add(path)
        return self._name_several(key, [path, *rivals])
