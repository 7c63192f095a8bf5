"""Lists all objects at an interval, and when asked: what notifications lost is found here."""

from collections.abc import Callable
from random import Random

import anyio
import anyio.lowlevel

from afresh.assets.errors import SensorError
from afresh.sensors.backoff import Backoff
from afresh.sensors.buckets.absent import find_absent, is_worth_it
from afresh.sensors.buckets.listing import Comparison, Missing
from afresh.sensors.buckets.objects import Objects
from afresh.sensors.buckets.store import Entry, Pages, Store, StoreError

SLICE = 100
"""Entries that are compared before the daemon's loop has its turn: about a millisecond."""
CONFIRM_SECONDS = 5.0
"""Many absences are confirmed by a second whole listing so soon after the first."""
SLACK = 2.0
"""The next listing may take so many times as long as the last one, and still be in time."""
RESERVE = 0.15
"""Of an interval: what it may take beyond that, when much has changed or is absent."""
MOST_OFTEN = 0.25
"""Of an interval: how soon the next listing begins at the earliest."""
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
TRIES_BEFORE_FAILED = 3
TRIES_OF_ONE_LISTING = 60


class Lister:
    """Compares listings with what is known. `error` is why it cannot at the moment, or "".

    What changed is known within the interval: the next listing begins as much earlier as one takes.
    """

    def __init__(
        self,
        objects: Objects,
        store: Store,
        *,
        interval_seconds: float,
        now: Callable[[], float],
        random: Random,
        tell: Callable[[], None],
        hide: Callable[[str], str] = str,
    ) -> None:
        self.error = ""
        self.hint = ""
        self.suspicion = ""
        """Why what a listing did not have does not count as deleted."""
        self.checked = False
        self.comparison: Comparison | None = None
        self.unmatched = 0
        self.missed: frozenset[str] = frozenset()
        self._objects = objects
        self._store = store
        self._interval = interval_seconds
        self._now = now
        self._random = random
        self._tell = tell
        self._hide = hide
        self._wanted = anyio.Event()
        self._accept = False
        self._suspicious_of: int | None = None
        self._ended = 0
        self._begun = 0
        self._turn = anyio.Event()
        self._given_up = False

    async def run(self) -> None:
        """List until cancelled."""
        self.comparison = None
        while True:
            self._wanted = anyio.Event()
            started_at = anyio.current_time()
            await self._list()
            took = anyio.current_time() - started_at
            reserve = RESERVE * self._interval + SLACK * took
            wait = max(self._interval * MOST_OFTEN, self._interval - reserve)
            if self.missed and not self.suspicion:
                wait = min(wait, CONFIRM_SECONDS)
            with anyio.move_on_after(max(0.0, started_at + wait - anyio.current_time())):
                await self._wanted.wait()

    async def scan(self, *, accept: bool) -> None:
        """List everything now, twice if something is absent. Raises SensorError when it cannot."""
        self._accept = self._accept or accept
        await self._one_more()
        if self.missed and not self.suspicion:
            await self._one_more()
        if self.suspicion and not accept:
            raise SensorError(self.suspicion, hint=self.hint)

    async def _one_more(self) -> None:
        """Wait for the end of a listing that begins from now on."""
        wanted = self._begun + 1
        self._wanted.set()
        while self._ended < wanted:
            if self.error:
                raise SensorError(self.error, hint=self.hint)
            turn = self._turn
            await turn.wait()

    async def _list(self) -> None:
        self._begun += 1
        number = self._begun
        accept, self._accept = self._accept, False
        self.comparison = Comparison(self._objects.known, self.missed)
        pages = self._store.pages()
        self.unmatched, self._given_up = 0, False
        async with anyio.create_task_group() as tasks:
            for _ in range(pages.at_once):
                tasks.start_soon(self._take, pages, tasks.cancel_scope)
        if self._given_up:
            self.comparison = None
            return
        known = self._objects.known
        missing = self.comparison.missing(known, accept=accept, of=self._suspicious_of)
        self._end(missing)
        if self.missed and is_worth_it(len(self.missed), len(known)):
            await self._confirm()
        self._ended = number
        self._next_turn()

    async def _take(self, pages: Pages, all_of_them: anyio.CancelScope) -> None:
        """Take pages until there are no more; after an error ask again, after some give it up."""
        failures = 0
        backoff = Backoff(self._random, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while True:
            asked_at = anyio.current_time()
            try:
                page = await pages.next()
            except StoreError as error:
                failures += 1
                if failures >= TRIES_BEFORE_FAILED:
                    self._say(self._hide(error.error), error.hint)
                if failures >= TRIES_OF_ONE_LISTING:
                    self._given_up = True
                    all_of_them.cancel()
                    return
                await anyio.sleep(backoff.next_seconds())
                continue
            failures = 0
            backoff.reset()
            self._say("", "")
            if page is None:
                return
            await self._compare(page, asked_at)

    async def _compare(self, page: list[Entry], asked_at: float) -> None:
        objects, comparison = self._objects, self.comparison
        assert comparison is not None
        ours: list[Entry] = []
        for start in range(0, len(page), SLICE):
            ours += objects.ours(page[start : start + SLICE])
            await anyio.lowlevel.checkpoint()
        self.unmatched += len(page) - len(ours)
        for start in range(0, len(ours), SLICE):
            part = ours[start : start + SLICE]
            await objects.room()
            for entry in comparison.news(part, objects.current, asked_at):
                objects.arrive(entry, self._now())
            await anyio.lowlevel.checkpoint()

    async def _confirm(self) -> None:
        """List what was absent once more by its names; what is unknown waits for the next one."""
        objects = self._objects
        self.comparison = Comparison(self.missed)
        unknown = await find_absent(self.missed, objects, self._store, self.comparison, self._now)
        for path in self.comparison.missing(objects.known, accept=True).gone:
            if path not in unknown:
                objects.leave(path, self._now())
        self.comparison = None
        self.missed = frozenset(unknown)

    def _end(self, missing: Missing) -> None:
        self.comparison = None
        self.missed = missing.first
        self.suspicion = ""
        self._suspicious_of = missing.of
        if missing.suspicious:
            name = self._objects.name
            self.suspicion = (
                f"Expected most of {missing.of} known objects, found {missing.unseen} gone at once"
            )
            self.hint = (
                "restore them; if they were deleted on purpose, "
                f"confirm it: afresh sensors scan {name} --accept"
            )
        else:
            self.hint = ""
        for path in missing.gone:
            self._objects.leave(path, self._now())
        if not self.checked:
            self.checked = True
            self._tell()

    def _say(self, error: str, hint: str) -> None:
        if error == self.error:
            return
        self.error = error
        self.hint = hint
        self._next_turn()

    def _next_turn(self) -> None:
        self._turn.set()
        self._turn = anyio.Event()
        self._tell()
