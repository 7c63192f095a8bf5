"""A listing in the order of names, several spans of them at once: where the last one had its pages.

A store answers one page in the time of many, so a long listing is as fast as it is asked. Nothing
has to be kept by the server: each span goes on after the last name that it gave.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from afresh.assets.errors import SensorError
from afresh.sensors.buckets.store import Entry, identity_of

AT_ONCE = 4
"""Looks for hints ask the store at the same time, and are to be as quick as ever."""


class Marks:
    """The last names of pages of the listing before, in their order; none if it was in no order."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.is_ordered = True

    def cuts(self) -> list[str]:
        """Give the names that part a listing into spans of about the same length."""
        names = self.names if self.is_ordered else []
        spans = min(AT_ONCE, len(names) // 2)
        return [names[len(names) * span // spans] for span in range(1, spans)]


class _Span(msgspec.Struct):
    """The names after `after` up to `until`; None is the end."""

    after: str
    until: str | None


class SpanPages:
    """One listing under way. `ask` gives S3's answer of what comes after a name."""

    def __init__(
        self, bucket: str, ask: Callable[[str], Awaitable[Mapping[str, Any]]], marks: Marks
    ) -> None:
        cuts = marks.cuts()
        self.at_once = len(cuts) + 1
        self._bucket = bucket
        self._ask = ask
        self._marks = marks
        self._names: list[str] = []
        self._open = self.at_once
        self._idle = deque(map(_Span, ("", *cuts), (*cuts, None)))

    async def next(self) -> list[Entry] | None:
        """Give a page of the span that waits longest; None when none waits.

        After an error that span goes on where it was. Raises StoreError, and SensorError for a
        store that turns out to have an order of its own: the next listing is one span.
        """
        if not self._idle:
            return None
        span = self._idle.popleft()
        try:
            listed = await self._ask(span.after)
        except BaseException:
            self._idle.append(span)
            raise
        found = listed.get("Contents", ())
        names = [str(item["Key"]) for item in found]
        if not all(one < two for one, two in pairwise((span.after, *names))):
            self._marks.is_ordered = False
            if self.at_once > 1:
                # Names between two spans may have been passed over: this is no whole listing.
                raise SensorError(
                    "Expected names in the order of their bytes, found others",
                    hint="nothing is to be done: it is listed page by page from now on",
                )
        ended = not found or not listed.get("IsTruncated", False)
        if span.until is not None and names and names[-1] >= span.until:
            found, ended = found[: bisect_right(names, span.until)], True
        self._go_on(span, names[-1] if names else "", ended=ended)
        return [Entry(f"{self._bucket}/{item['Key']}", identity_of(item)) for item in found]

    def _go_on(self, span: _Span, last: str, *, ended: bool) -> None:
        if not ended:
            self._names.append(last)
            span.after = last
            self._idle.append(span)
            return
        self._open -= 1
        if span.until is not None:
            self._names.append(span.until)
        if not self._open:
            self._marks.names = sorted(self._names)
