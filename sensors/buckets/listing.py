"""The difference of two listings, pure: what is new or changed, what is gone for sure.

A listing is compared page by page; it proves an absence only when it is complete, and only together
with the complete one before it. Names that were looked at meanwhile are not judged by a page that
was asked for earlier.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from afresh.sensors.buckets.store import Entry, state_of
from afresh.sensors.listing import is_suspicious


class Missing(NamedTuple):
    """What a complete listing did not have: `first` for the first time, `gone` for the second.

    `suspicious`: more than half of what is known is not there, nothing counts as deleted.
    """

    first: frozenset[str]
    gone: tuple[str, ...]
    suspicious: bool
    unseen: int
    of: int | None = None


class Comparison:
    """One listing against what is known when it begins; `missed` is `first` of the one before."""

    def __init__(self, known: Iterable[str], missed: Collection[str] = ()) -> None:
        self._unseen = dict.fromkeys(known)
        self._count = len(self._unseen)
        self._missed = missed
        self._looked: dict[str, float] = {}

    def news(
        self, page: Iterable[Entry], current: Callable[[str], int | None], asked_at: float
    ) -> list[Entry]:
        """Give the entries whose state is not the current one. `current` is None for no object.

        `asked_at` is when the page was asked for, by the clock of `note_look`.
        """
        found = []
        for entry in page:
            self._unseen.pop(entry.path, None)
            # Of what was asked for at the time of a look nobody knows whether it is newer.
            if (looked_at := self._looked.get(entry.path)) is not None and looked_at >= asked_at:
                continue
            if current(entry.path) != state_of(entry.identity):
                found.append(entry)
        return found

    def note_look(self, path: str, at: float, *, there: bool) -> None:
        """Note a look while this listing runs: newer than pages that were asked for before."""
        self._looked[path] = at
        if there:
            self._unseen.pop(path, None)

    def missing(
        self, known: Mapping[str, object], *, accept: bool = False, of: int | None = None
    ) -> Missing:
        """Judge what was not seen, at the end of a complete listing; `known` as it is by now.

        With `accept` someone confirms that what is not there was deleted. `of` is how many were
        known when a listing first looked suspicious: new objects do not make the old ones' absence
        any better.
        """
        unseen = [path for path in self._unseen if path in known]
        count = self._count if of is None else min(of, self._count)
        if not accept and is_suspicious(len(unseen), count):
            return Missing(frozenset(), (), suspicious=True, unseen=len(unseen), of=count)
        gone = tuple(path for path in unseen if accept or path in self._missed)
        first = frozenset(unseen).difference(gone)
        return Missing(first, gone, suspicious=False, unseen=len(unseen))
