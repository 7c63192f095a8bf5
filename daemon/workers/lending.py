"""Workers that are lent while others wait for a server: what hangs costs nobody else its place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup

AFTER_SECONDS = 1.0
"""Who asks a server for so long makes room for another."""
MOST = 2
"""Times as many as there are workers are lent at most."""


class Lending:
    """Counts what is lent. `on_change` is called with more and with less of it."""

    def __init__(self, size: int, on_change: Callable[[], None]) -> None:
        self.lent = 0
        self._most = MOST * size
        self._on_change = on_change

    @contextmanager
    def waiting(self, tasks: TaskGroup) -> Iterator[None]:
        """Lend a worker when this lasts, until it ends."""
        scope, lent = anyio.CancelScope(), False

        async def lend() -> None:
            nonlocal lent
            with scope:
                await anyio.sleep(AFTER_SECONDS)
                if self.lent < self._most:
                    lent = True
                    self.lent += 1
                    self._on_change()

        tasks.start_soon(lend)
        try:
            yield
        finally:
            scope.cancel()
            if lent:
                self.lent -= 1
                self._on_change()
