"""Keeps dead letters within bounds: the newest of each source; the journal counts the others."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import anyio

from afresh.assets.planner.planner import Change
from afresh.daemon.reactor import Reactor
from afresh.storage.ledger import queries
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.state import Read

_log = logging.getLogger("afresh.housekeeping")
INTERVAL_SECONDS = 10.0
AT_ONCE = 10_000
KEPT_SHARE = 0.9
"""What is left of a bound when letters go: so that they go seldom, many at once."""


class LetterKeeping:
    """Drops the oldest letters of a source that has more than `most`, or more bytes of them."""

    def __init__(
        self,
        reactor: Reactor,
        read: Read,
        now: Callable[[], float],
        *,
        most: int,
        most_bytes: int,
    ) -> None:
        self._reactor = reactor
        self._read = read
        self._now = now
        self._most = most
        self._most_bytes = most_bytes
        self._counts: dict[str, int] = {}

    async def run(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await self.trim()
            await anyio.sleep(INTERVAL_SECONDS)

    async def trim(self) -> int:
        """Drop what is too much; how many letters they were."""
        count = 0
        for source, letters in self._read(queries.LETTER_COUNTS, {}):
            # Bytes are counted where letters came since.
            if self._counts.get(source) != letters:
                self._counts[source] = letters
                for page in self._too_many(source, letters):
                    await self._drop(source, page)
                    count += len(page)
        return count

    def _too_many(self, source: str, letters: int) -> Iterator[list[tuple[Any, ...]]]:
        """Those that go, by pages: first what was tried again, then the oldest."""
        (size,) = self._read(queries.LETTER_BYTES, {"source": source})[0]
        if letters <= self._most and size <= self._most_bytes:
            return
        most, most_bytes = KEPT_SHARE * self._most, KEPT_SHARE * self._most_bytes
        while letters > most or size > most_bytes:
            page = []
            for row in self._read(queries.OLD_LETTERS, {"source": source, "limit": AT_ONCE}):
                if letters <= most and size <= most_bytes:
                    break
                page.append(row)
                letters, size = letters - 1, size - row[3]
            if not page:
                return
            yield page

    async def _drop(self, source: str, letters: list[tuple[Any, ...]]) -> None:
        lost = sum(state == "dead" for _, _, state, _ in letters)
        detail = f"{len(letters)} dead letters dropped, {lost} of them never published"
        keys = [{"seq": seq, "number": number} for seq, number, _, _ in letters]
        position = {"dead_letters": {"dropped": len(letters), "lost": lost}}
        places = [(key["seq"], key["number"]) for key in keys]
        position["dead_letters"] |= {"first": min(places), "last": max(places)}
        _log.warning("%s: %s", source, detail)

        def make(_epoch: int) -> tuple[list[Update], list[Change]]:
            event = self._reactor.journal.gap(source, detail, json.dumps(position), self._now())
            return [Update("delete", "dead_letter", keys), Update("insert", "event", [event])], []

        await self._reactor.tell(make)
