"""What goes on, as lines for `afresh up` and `--follow`: nobody is waited for."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import anyio

MOST_WAITING = 10_000
Line = dict[str, Any]


class Lines:
    """Sends each line to every subscriber.

    One that is too slow misses some, and is told how many.
    """

    def __init__(self) -> None:
        self._subscribers: list[_Subscriber] = []

    def send(self, line: Line) -> None:
        """Hand a line on, without waiting."""
        for subscriber in self._subscribers:
            subscriber.put(line)

    @property
    def wanted(self) -> bool:
        """Whether anybody listens: else lines need not be made."""
        return bool(self._subscribers)

    async def subscribe(self) -> AsyncIterator[Line]:
        """Lines from now on, until the caller stops."""
        subscriber = _Subscriber()
        self._subscribers.append(subscriber)
        try:
            while True:
                for line in await subscriber.take():
                    yield line
        finally:
            self._subscribers.remove(subscriber)


class _Subscriber:
    def __init__(self) -> None:
        self._waiting: deque[Line] = deque()
        self._missed = 0
        self._wake = anyio.Event()

    def put(self, line: Line) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(line)
        else:
            self._missed += 1
        self._wake.set()

    async def take(self) -> list[Line]:
        await self._wake.wait()
        self._wake = anyio.Event()
        lines = list(self._waiting)
        self._waiting.clear()
        if self._missed:
            lines.append({"type": "missed", "count": self._missed})
            self._missed = 0
        return lines
