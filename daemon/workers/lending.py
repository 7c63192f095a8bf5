"""Workers that are lent while others wait for a server: what hangs costs nobody else its place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup

AFTER_SECONDS = 1.0
"""Who asks a server for so long makes room for another."""
SOON_SECONDS = 0.05
"""Who was slow the last time is taken to be slow again: nobody waits for it to turn out."""
MOST = 2
"""Times as many as there are workers are lent at most."""


class Lending:
    """Counts what is lent. `on_change` is called with more and with less of it."""

    def __init__(self, size: int, on_change: Callable[[], None]) -> None:
        self.lent = 0
        self._most = MOST * size
        self._on_change = on_change
        self._slow: set[str] = set()

    @contextmanager
    def waiting(self, tasks: TaskGroup, source: str) -> Iterator[None]:
        """Lend a worker when this lasts, until it ends. `source` is what is asked for."""
        scope, lent = anyio.CancelScope(), False
        after = SOON_SECONDS if source in self._slow else AFTER_SECONDS

        async def lend() -> None:
            nonlocal lent
            with scope:
                await anyio.sleep(after)
                if self.lent < self._most:
                    lent = True
                    self.lent += 1
                    self._on_change()

        tasks.start_soon(lend)
        began_at = anyio.current_time()
        try:
            yield
        finally:
            scope.cancel()
            if anyio.current_time() - began_at >= AFTER_SECONDS:
                self._slow.add(source)
            else:
                self._slow.discard(source)
            if lent:
                self.lent -= 1
                self._on_change()
