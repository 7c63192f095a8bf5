"""Looks at single objects: what hints name, and what is news by a rival that came or went."""

import logging
from collections.abc import Callable

import anyio

from afresh.sensors.buckets.listing import Comparison
from afresh.sensors.buckets.objects import Objects
from afresh.sensors.buckets.store import Entry, RefusedError, Store, StoreError, state_of

AT_ONCE = 16
SECOND_LOOK_SECONDS = 0.3
"""An object that a hint says is gone is looked at twice, as two listings are needed."""
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
TRIES = 20
"""About two and a half minutes; then the next listing says what is there."""
_log = logging.getLogger("afresh.sensors")


class Looker:
    """A queue of paths, and tasks that look. `compare` gives the listing that is under way."""

    def __init__(
        self,
        objects: Objects,
        store: Store,
        *,
        now: Callable[[], float],
        compare: Callable[[], Comparison | None],
        on_error: Callable[[str], None],
        hide: Callable[[str], str] = str,
    ) -> None:
        self._objects = objects
        self._store = store
        self._now = now
        self._compare = compare
        self._on_error = on_error
        self._hide = hide
        self._queue: dict[str, list[Callable[[], None]]] = {}
        self._busy: set[str] = set()
        self._wake = anyio.Event()

    def __len__(self) -> int:
        """How many paths wait for their look, or are being looked at."""
        return len(self._queue) + len(self._busy)

    def put(self, path: str, then: Callable[[], None] = lambda: None) -> None:
        """Look at a path soon; `then` is called when what follows is acknowledged."""
        self._queue.setdefault(path, []).append(then)
        self._wake.set()

    async def run(self) -> None:
        """Look until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(self._work)

    async def _work(self) -> None:
        while True:
            path = self._next()
            if path is None:
                if self._wake.is_set():  # others wait for the same one
                    self._wake = anyio.Event()
                await self._wake.wait()
                continue
            thens = self._queue.pop(path)
            self._busy.add(path)
            try:
                await self._look(path)
            except BaseException:
                self._queue.setdefault(path, [])[:0] = thens
                raise
            finally:
                self._busy.discard(path)
            for then in thens:
                self._objects.when_told(path, then)
            self._wake.set()
            await self._objects.room()

    def _next(self) -> str | None:
        """Give a path that no other task is looking at: looks at one path keep their order."""
        return next((path for path in self._queue if path not in self._busy), None)

    async def _look(self, path: str) -> None:
        """Look until it is known what is there, or given up: one name must not hold up others."""
        pause = FIRST_PAUSE_SECONDS
        for _ in range(TRIES):
            try:
                await self._look_once(path)
            except RefusedError as error:
                self._give_up(path, error)
                return
            except StoreError as error:
                self._on_error(str(error))
                reason = error
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._on_error("")
                return
        self._give_up(path, reason)

    def _give_up(self, path: str, error: StoreError) -> None:
        """Leave it to the listings."""
        self._objects.again.pop(path, None)
        _log.warning("%s", self._hide(f"no look at {path!r} until the next listing: {error}"))

    async def _look_once(self, path: str) -> None:
        objects = self._objects
        entry = await self._newest(path)
        comparison = self._compare()
        if comparison is not None:
            comparison.note_look(path, anyio.current_time(), there=entry is not None)
        if entry is None:
            objects.leave(path, self._now())
            return
        changed = objects.current(path) != state_of(entry.identity)
        if objects.ours([entry]) and (changed or path in objects.again):
            objects.arrive(entry, self._now())

    async def _newest(self, path: str) -> Entry | None:
        """Look until nothing else is said of it meanwhile, which may be newer than the answer.

        An older state would be told after a newer one, and then the newer one again (P1).
        """
        objects = self._objects
        while True:
            before = objects.current(path)
            entry = await self._store.look(path)
            if entry is None and before is not None:
                await anyio.sleep(SECOND_LOOK_SECONDS)
                entry = await self._store.look(path)
            if objects.current(path) == before:
                return entry
