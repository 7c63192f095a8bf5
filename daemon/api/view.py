"""What the command line and the API see of a project, and what they may do to it: two protocols.

`View` is for reading: the running daemon is one, the ledger opened read-only is another (offline).
`Controls` changes something and exists only where a lease is held. `Observer` is told what goes on.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from afresh.assets.manifest import Manifest
from afresh.assets.planner.view import UnitView

if TYPE_CHECKING:
    from afresh.daemon.config import Settings
    from afresh.sensors.base import Batch

Key = tuple[str, str]
"""A unit: (asset, partition key)."""

PROTOCOL = 1
"""Of the local socket. A daemon refuses a request of another protocol, naming both."""


class Looks(Protocol):
    """What can be asked of the planner's state, without changing it."""

    def assets(self) -> Sequence[str]:
        """Return all sources and assets of the manifest, upstream first."""
        ...

    def units(self) -> Iterable[Key]:
        """Return all known units: assets upstream first, an asset's keys in order."""
        ...

    def look(self, asset: str, partition: str, now: float) -> UnitView:
        """Say how a unit is. Raises KeyError where there is no such unit."""
        ...


class Reader(Protocol):
    """Committed state of the ledger, by plain SQL with named `:parameters`."""

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Read; each call is a short transaction of its own."""
        ...


class View(Protocol):
    """A project as it is now, for reading."""

    @property
    def manifest(self) -> Manifest:
        """The definitions in force."""
        ...

    @property
    def planner(self) -> Looks:
        """The state of the units."""
        ...

    @property
    def reader(self) -> Reader:
        """The ledger."""
        ...

    @property
    def settings(self) -> "Settings":
        """What the project is set to."""
        ...

    @property
    def project(self) -> str:
        """The project's folder, absolute."""
        ...

    def sensors(self) -> list[dict[str, Any]]:
        """Return a row a sensor, as it is printed; `last_event_at` in seconds or None."""
        ...

    def now(self) -> float:
        """Seconds since 1970, for display."""
        ...

    async def breathe(self) -> None:
        """Let others run in the middle of a long answer: a checkpoint in the daemon."""
        ...


class Controls(Protocol):
    """What changes something. What has a `request` id is done once: `Request` rows remember it."""

    async def materialize(self, request: str, units: Sequence[Key], *, force: bool) -> list[Key]:
        """Ask for these units and what they need, failed ones too; return the units that it covers.

        Returns when the request is recorded, not when it is done. A unit is named by its key, or by
        (asset, "*") for all that the asset has or gets.
        """
        ...

    async def cancel(self, request: str, run: str) -> bool:
        """End a run that is queued or under way; False where there is no such run (any more)."""
        ...

    async def pause(
        self, request: str, kind: Literal["asset", "sensor"], names: Sequence[Key]
    ) -> None:
        """Stop automation. Of an asset (name, "*") is all of its units; a sensor is (name, "")."""
        ...

    async def resume(
        self, request: str, kind: Literal["asset", "sensor"], names: Sequence[Key]
    ) -> None:
        """Start it again."""
        ...

    async def scan(self, sensor: str, *, accept: bool = False) -> int:
        """Scan now (`""`: all sensors); return how many arrivals it found. Raises UsageError."""
        ...

    async def scan_all(self, timeout_seconds: float | None) -> float | None:
        """Scan all sensors; return how many seconds of the time are left, None where it has no end.

        0 where it is over: then the scan was given up.
        """
        ...

    async def reset(self, request: str, sensor: str) -> None:
        """Forget the cursor and what was recorded of each path, then scan. Raises UsageError."""
        ...

    async def record(self, request: str, op: str, batches: "Sequence[Batch]") -> list[int]:
        """Record arrivals that somebody made by hand, once; the seqs of their events."""
        ...

    async def drop_outgoing(self, request: str, target: str) -> int:
        """Let go of what waits for a target of events; how many they were."""
        ...

    async def replay_letters(
        self, request: str, source: str, letters: "Sequence[tuple[int, int, bytes]]"
    ) -> list[tuple[int, int]]:
        """Try these dead letters (seq, number, record) of a stream again, once.

        Return which it does: one that is being tried already is left out.
        """
        ...

    async def wait(self, units: Sequence[Key] | None, timeout_seconds: float | None) -> bool:
        """Return True when all that is recorded by now is settled for these units (None: for all).

        A unit that is failed, blocked, paused or missing counts as settled here: nothing more will
        come of waiting. False when the time is over.
        """
        ...

    async def reload(self, digest: str) -> None:
        """Take over the definitions on disk unless they are in force; return when that is done.

        `digest` is the hash of the project's files as the caller saw them. Raises DefinitionError
        where they do not load (the old ones stay in force).
        """
        ...

    async def stop(self) -> None:
        """Ask for a graceful stop; returns at once."""
        ...

    def subscribe(self) -> AsyncIterator[dict[str, Any]]:
        """Lines from now on: {"type": "event", ...} and {"type": "run", ...} as they are printed.

        Times are seconds since 1970 here. A subscriber that is too slow misses lines and gets
        {"type": "missed", "count": n} instead: the daemon never waits for one.
        """
        ...


class Observer(Protocol):
    """Told what a daemon does, in its own process: for `afresh up`."""

    def ready(self, text: str) -> None:
        """Take note, once, that all is loaded and watched; `text` says what, in a line."""
        ...

    def event(self, line: dict[str, Any]) -> None:
        """Take a line as `Controls.subscribe` gives it."""
        ...

    def problem(self, text: str) -> None:
        """Take what a person should know: a definition that does not load, a sensor that failed."""
        ...

    def watching(self, view: View) -> None:
        """Take the view, before `ready`: a live display asks it for counts when it draws."""
        ...
