"""Micro-batches: as many records as there are, within bounds of rows, bytes and time."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import anyio
import anyio.lowlevel

SLICE_ROWS = 4_000
"""What is taken at once: parsing it holds up the loop for some milliseconds."""
_FIRST_BYTES = 1 << 20
"""What a record is taken for before one was seen: of large ones few are taken at first."""


class Takes(Protocol):
    """Where records come from."""

    async def take(self, most: int, seconds: float) -> dict[int, Sequence[Any]]:
        """Give what there is, or comes within some seconds, by partition."""
        ...


class Gathering:
    """Gathers the next batch. The first record after a pause goes at once, others wait for it.

    So a batch is told at most every `seconds` unless it is full, and one that is alone never waits.
    """

    def __init__(
        self,
        source: Takes,
        *,
        rows: int,
        size: int,
        seconds: float,
        note: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._rows = rows
        self._size = size
        self._seconds = seconds
        self._note = note
        self._due = 0.0
        self._each = float(_FIRST_BYTES)

    def _slice(self, rows: int, size: int) -> int:
        """How many records to take: about what is left of the batch, in rows and in bytes."""
        fit = int((self._size - size) / self._each)
        return max(1, min(SLICE_ROWS, self._rows - rows, fit))

    async def gather(self, wait_seconds: float) -> dict[int, list[Any]]:
        """Wait for records so long, and give what came; `note` is called when the first ones do."""
        taken: dict[int, list[Any]] = {}
        rows = size = 0
        wait = wait_seconds
        while rows < self._rows and size < self._size:
            found = await self._source.take(self._slice(rows, size), max(0.0, wait))
            if found and not taken:
                self._note()
            before = rows, size
            for partition, messages in found.items():
                taken.setdefault(partition, []).extend(messages)
                rows += len(messages)
                size += sum(map(_size_of, messages))
            if rows > before[0]:
                self._each = max(1.0, (size - before[1]) / (rows - before[0]))
            wait = self._due - anyio.current_time()
            if not found and (wait <= 0 or not taken):
                break
            await anyio.lowlevel.checkpoint()
        if taken:
            self._due = anyio.current_time() + self._seconds
        return taken


def _size_of(message: Any) -> int:
    value, key = message.serialized_value_size, message.serialized_key_size  # -1: there is none
    return int(max(0, value) + max(0, key))
