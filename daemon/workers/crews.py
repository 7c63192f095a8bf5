"""The generations that are loaded: one gets the tasks, others are made ready or come to an end."""

import logging
from collections.abc import Callable, Iterator
from itertools import count

import anyio
import msgspec
from anyio.abc import TaskGroup

from afresh.assets.errors import WorkerError
from afresh.assets.manifest import Manifest
from afresh.daemon.workers import wire
from afresh.daemon.workers.crew import Crew
from afresh.daemon.workers.link import Base
from afresh.daemon.workers.seat import Seat

_log = logging.getLogger("afresh.workers")
_READY_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 30.0
MOST_FAILURES = 3
"""After so many in a row nobody waits any longer for what cannot be started."""


def pause_seconds(failures: int) -> float:
    """Say how long to wait after so many failures in a row, counted from 0."""
    return min(_FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 10), _LONGEST_PAUSE_SECONDS)


class Crews:
    """Loads generations by digest, and starts the active one anew when its server ends.

    `on_idle` and `on_end` are told of each worker; `refuse` of why there will be none.
    """

    def __init__(
        self,
        base: Base,
        tasks: TaskGroup,
        *,
        size: int,
        log_dir: str,
        load_seconds: float,
        on_idle: Callable[[Crew, Seat], None],
        on_end: Callable[[Crew, Seat], None],
        refuse: Callable[[str], None],
    ) -> None:
        self.closing = False
        self._base = base
        self._tasks = tasks
        self._size = size
        self._logs = log_dir
        self._load_seconds = load_seconds
        self._on_idle = on_idle
        self._on_end = on_end
        self._refuse = refuse
        self._loaded: dict[str, Crew] = {}
        self._draining: set[Crew] = set()
        self._active = ""

    def __iter__(self) -> Iterator[Crew]:
        """Go through all that have processes."""
        yield from (*self._loaded.values(), *self._draining)

    @property
    def digest(self) -> str:
        """The digest of the active generation, also while its server is started anew."""
        return self._active

    @property
    def active(self) -> Crew | None:
        """The one that new tasks go to; None before the first, and while it is made anew."""
        return self._loaded.get(self._active)

    async def load(self, plan: wire.Plan) -> Manifest:
        """Load a generation beside the active one, in place of any other. Raises WorkerError."""
        known = self._loaded.get(plan.digest)
        if known is not None and known.manifest is not None:
            return known.manifest
        for other in [digest for digest in self._loaded if digest != self._active]:
            self.discard(other)
        crew, manifest = await self._load(plan)
        if self._active:
            # A reload: the new workers get warm while the old ones work.
            crew.fill(self._size)
        return manifest

    async def activate(self, digest: str) -> Crew | None:
        """Make a generation the active one when a worker of it is warm, and drain the one before.

        None if it is active already. Raises WorkerError if it is not loaded.
        """
        if digest == self._active:
            return None
        crew = self._loaded.get(digest)
        if crew is not None:
            crew.fill(self._size)
            if self._active:
                with anyio.move_on_after(_READY_SECONDS):
                    await crew.ready.wait()
        if crew is None or crew.gone:
            raise WorkerError(
                f"Expected a generation that is loaded, found none with digest {digest!r}"
            )
        before = self._loaded.pop(self._active, None)
        self._active = digest
        if before is not None:
            self._drain(before)
        return crew

    def discard(self, digest: str) -> None:
        """End a generation that is loaded and not active."""
        if digest != self._active and digest in self._loaded:
            self._drain(self._loaded.pop(digest))

    def close(self) -> None:
        """Let all end."""
        self.closing = True
        for crew in self:
            crew.close()

    def dispose(self) -> None:
        """Give back what the daemon holds of them, after their processes ended."""
        for crew in self:
            crew.dispose()

    async def _load(self, plan: wire.Plan) -> tuple[Crew, Manifest]:
        crew = Crew(plan, self._logs, self._tasks, self._on_idle, self._on_end)
        manifest = await crew.load(self._base, self._load_seconds)
        if crew.note:
            _log.warning("%s", crew.note)
        # Thousands of declarations a second time: should it end, its own are the last good ones.
        crew.plan = msgspec.structs.replace(plan, last_good=b"")
        self._loaded[plan.digest] = crew
        self._tasks.start_soon(self._serve, crew)
        return crew, manifest

    async def _serve(self, crew: Crew) -> None:
        """Attend a generation until it ends; an active one that should not have is made anew."""
        await crew.serve()
        crew.dispose()
        self._draining.discard(crew)
        digest = crew.plan.digest
        if self._loaded.get(digest) is not crew:
            return
        del self._loaded[digest]
        if digest == self._active and not self.closing:
            await self._revive(crew)

    async def _revive(self, ended: Crew) -> None:
        plan = msgspec.structs.replace(ended.plan, last_good=msgspec.msgpack.encode(ended.manifest))
        _log.error("the server of the workers ended, another is started")
        for failures in count():
            # The first may have gone to a base that was just about to end.
            await anyio.sleep(pause_seconds(failures - 1) if failures else 0)
            if self._active != plan.digest or self.closing:
                return
            try:
                crew, _ = await self._load(plan)
            except WorkerError as error:
                _log.error("%s", error)
                if failures >= MOST_FAILURES:
                    self._refuse(error.error)
            else:
                if self._active == plan.digest:
                    crew.fill(self._size)
                else:
                    # Another took its place meanwhile.
                    self.discard(plan.digest)
                return

    def _drain(self, crew: Crew) -> None:
        """Let what runs come to its end, then end the generation."""
        crew.draining = True
        self._draining.add(crew)
        for seat in crew.seats.values():
            if seat.state != "busy":
                crew.kill(seat)
        if not crew.running:
            crew.close()
