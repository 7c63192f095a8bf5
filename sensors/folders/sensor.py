"""The sensor of files: what a source's pattern matches, against what the ledger has recorded.

The watcher finds and looks; this keeps what is acknowledged and what is on its way (P1).
"""

import os
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Literal

import anyio

from afresh.assets.errors import SensorError
from afresh.assets.partition import Pattern
from afresh.sensors.base import Arrival, Batch, Emit, Health, Identity
from afresh.sensors.folders.look import Seen
from afresh.sensors.key_paths import KeyPaths, refusal
from afresh.sensors.offers import Offers
from afresh.sensors.uri import path_of, uri_of

if TYPE_CHECKING:
    from afresh.sensors.folders.folder import Folder
    from afresh.sensors.folders.watcher import FolderWatcher

BATCH = 250
"""At most so many arrivals in a batch: the daemon's loop is busy with it for some milliseconds."""


class FileSensor:
    """The files of one source. `known` is what the ledger recorded: uri to identity.

    `unmatched` are those of the known uris that were recorded as unmatched: if the pattern matches
    them by now they are arrivals. `settle_seconds` is how long a file that only a scan found must
    have been the same. Nothing is reported unless `watcher.run` runs.
    """

    kind = "file"
    # There may be thousands of sensors.
    __slots__ = (
        "_last_health",
        "_offers",
        "_on_health",
        "_on_news",
        "_progress",
        "_running",
        "_watcher",
        "checked",
        "error",
        "folder",
        "hint",
        "name",
        "paths",
        "patience_seconds",
        "pattern",
        "pending",
        "unmatched",
    )

    def __init__(
        self,
        *,
        name: str,
        pattern: Pattern,
        watcher: "FolderWatcher",
        settle_seconds: float = 1.0,
        known: Mapping[str, Identity] | None = None,
        unmatched: Collection[str] = (),
        on_health: Callable[["FileSensor"], None] | None = None,
    ) -> None:
        self.name = name
        self.pattern = pattern
        self.patience_seconds = settle_seconds
        self.folder: Folder | None = None
        self.checked = False
        """Has a scan found it in order; before that nothing is reported."""
        self.error = ""
        self.hint = ""
        self._watcher = watcher
        self._on_health = on_health
        self._last_health = ("", "")
        self._offers: Offers[Identity] = Offers()
        self.unmatched: dict[str, None] = {}
        self.pending: dict[str, None] = {}
        """What will be looked at again: not complete, or perhaps gone."""
        self.paths = KeyPaths()
        """Those that are there, reported or not."""
        self._on_news: Callable[[FileSensor], None] | None = None
        # Made when somebody waits for it: an event is a KB.
        self._progress: anyio.Event | None = None
        self._running = False
        self._remember(known or {}, unmatched)

    def _remember(self, known: Mapping[str, Identity], unmatched: Collection[str]) -> None:
        for uri, identity in known.items():
            path = path_of(uri, self._watcher.project)
            key = self.pattern.match(self._watcher.relative(path))
            if key is None:
                self.unmatched[path] = None
            elif uri not in unmatched:
                self._offers.known[path] = identity
                self.paths.add(path, key)

    @property
    def known(self) -> Mapping[str, Identity]:
        """What was acknowledged, by absolute path; matched files only."""
        return self._offers.known

    @property
    def health(self) -> Health:
        """How it is now; `lag` is how many arrivals are not complete or not acknowledged."""
        folder = self.folder
        error, hint = self.error, self.hint
        note = ""
        if folder is not None:
            error, hint = error or folder.error, hint or folder.hint
            hint = hint.replace("NAME", self.name)
            note = folder.unwatched or folder.file_system.note
        state: Literal["watching", "scanning", "failed"] = "watching"
        if error:
            state = "failed"
        elif folder is None or not self.checked or not folder.notifies:
            state = "scanning"
        lag = len(self._offers) + len(self.pending)
        return Health(state=state, error=error, lag=lag, hint=hint, note=note)

    @property
    def is_quiet(self) -> bool:
        """Is all that was seen acknowledged, and the last scan done."""
        return self.checked and not self._offers and not self.pending

    async def run(self, emit: Emit) -> None:
        """Report until cancelled. What `emit` raises is raised; run again, it is repeated.

        A folder that is missing, unreadable or half empty makes the sensor failed (`health`): it
        goes on by itself when the folder is as before, or by `scan(accept=True)`.
        """
        news = anyio.Event()
        self.start(lambda _sensor: news.set())
        try:
            while True:
                await self.drain(emit)
                news = anyio.Event()
                if not self._offers:
                    await news.wait()
        finally:
            self.stop()

    def start(self, on_news: Callable[["FileSensor"], None]) -> None:
        """Watch, without a task of its own: `on_news` is called when there is what to drain."""
        self._on_news = on_news
        self._running = True
        self._watcher.join(self)
        if self._offers:
            on_news(self)

    def stop(self) -> None:
        """Watch no more; what is not acknowledged is found again by the next start."""
        self._running = False
        self._on_news = None
        self._watcher.leave(self)
        self._say_progress()

    async def drain(self, emit: Emit, has_room: Callable[[], bool] = lambda: True) -> bool:
        """Hand on what has gathered, while there is room; False if some of it is left.

        What `emit` raises is raised, and nothing is lost.
        """
        while self._offers and self._running:
            if not has_room():
                return False
            offers = self._offers.take(BATCH)
            try:
                await emit(Batch(self.name, tuple(offer.arrival for offer in offers.values())))
            except BaseException:
                self._offers.doubt()
                raise
            self._offers.acknowledge(offers)
            self._say_progress()
        return True

    async def scan(self, *, accept: bool = False) -> int:
        """Look at everything now, and return how many arrivals were acknowledged since.

        Waits for what was found to settle, but not for files that go on changing. `accept` confirms
        deletions that looked like a folder that is not mounted. Raises SensorError when the folder
        cannot be trusted, or the sensor is not running.
        """
        if not self._running:
            raise SensorError(
                f"Expected a running sensor, found {self.name} stopped",
                hint=f"afresh sensors resume {self.name}",
            )
        before = self._offers.acknowledged
        await self._watcher.scan(self, accept=accept)
        await self._flush()
        health = self.health
        if health.state == "failed" and not accept:
            raise SensorError(health.error, hint=health.hint)
        return self._offers.acknowledged - before

    def confirm(self, uri: str, identity: Identity) -> None:
        """Note what an ingest has read: then it is not news, though later than what was reported.

        (A copy's times are set last, without any notification.)
        """
        path = path_of(uri, self._watcher.project)
        if path in self.known and path not in self._offers:
            self._offers.known[path] = identity

    def refusal(self, uri: str, key: str) -> str:
        """Say why not to read a file: others of its key are there. "" if none is, or it is not."""
        path = path_of(uri, self._watcher.project)
        others = [each for each in self.paths.rivals(path, key) if os.path.lexists(each)]
        if not others or not os.path.lexists(path):
            return ""
        return self.name_several(key, [path, *others])

    def name_several(self, key: str, paths: Collection[str]) -> str:
        """Say of which files of one key none is read."""
        names = [ascii(self._watcher.relative(each)) for each in sorted(paths)]
        return refusal("file", self.name, key, names)

    def current(self, path: str) -> Identity | None:
        """Give what was last said of a path, on its way or acknowledged; None for nothing."""
        return self._offers.current(path)

    def remembers(self, path: str) -> bool:
        """Is there anything to take back when this path is gone."""
        return self.current(path) is not None or path in self.unmatched

    def offer(self, path: str, key: str | None, seen: Seen, observed_at: float) -> None:
        """Report that a file is there, in this state."""
        if key is None:
            self.unmatched[path] = None
        self._put(
            path,
            Arrival(
                uri=uri_of(path, self._watcher.project),
                kind="arrived",
                partition=key,
                observed_at=observed_at,
                identity=seen.identity,
                problem=seen.problem,
            ),
            seen.identity,
        )

    def offer_deleted(self, path: str, key: str | None, observed_at: float) -> bool:
        """Report that a file is gone; False if nobody was told of it, or all are told already."""
        told = path in self.unmatched if key is None else self._offers.was_told(path)
        self.unmatched.pop(path, None)
        if key is not None:
            self.paths.discard(path, key)
        if path in self._offers and self.current(path) is None:
            return False
        if not told:
            self._offers.withdraw(path)
            self._say_progress()
            return False
        uri = uri_of(path, self._watcher.project)
        arrival = Arrival(uri=uri, kind="deleted", partition=key, observed_at=observed_at)
        self._put(path, arrival, None)
        return True

    def pass_check(self) -> None:
        """Note that a scan found it in order."""
        self.checked, self.error, self.hint = True, "", ""

    def fail(self, gone_count: int) -> None:
        """Note that too much is gone at once to believe it: nothing counts as deleted."""
        self.error = (
            f"Expected most of {len(self.known)} known files, found {gone_count} gone at once"
        )
        self.hint = (
            "mount or restore them; if they were deleted on purpose, "
            f"confirm it: afresh sensors scan {self.name} --accept"
        )

    def say_health(self) -> None:
        """Tell whoever asked to be told, if it has changed."""
        if self._on_health is None:
            return
        health = self.health
        if (health.state, health.error) != self._last_health:
            self._last_health = (health.state, health.error)
            self._on_health(self)

    def _put(self, path: str, arrival: Arrival, identity: Identity | None) -> None:
        self._offers.put(path, arrival, identity)
        if self._on_news is not None:
            self._on_news(self)

    def _say_progress(self) -> None:
        if self._progress is not None:
            self._progress.set()
            self._progress = None

    async def _flush(self) -> None:
        """Wait until what is on its way now is acknowledged."""
        last = self._offers.last
        while self._offers.first <= last:
            if self._progress is None:
                self._progress = anyio.Event()
            await self._progress.wait()
            if not self._running:
                raise SensorError(
                    f"Expected {self.name} to go on, found that it stopped",
                    hint="see afresh sensors for why",
                )
