"""What a sensor is: something that notices arrivals and hands them on, in batches.

`await emit(batch)` returning is the acknowledgement: the events and the cursor are committed in
one transaction (P1). A sensor that is cancelled before that emits again after a restart.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import msgspec


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """What tells one state of a file from the next without reading it."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Arrival(msgspec.Struct, frozen=True):
    """Something appeared, changed or went. `uri` is what the source's key is captured from.

    For files: the path relative to the project with `/`, percent-encoded as CLI.md says for keys
    (`% , [ ] @ *`, control characters, bytes that are not UTF-8). `partition` is the captured key
    ("" without captures), None when the uri matches no source pattern: then it is unmatched, and a
    `deleted` only says that it need not be remembered.
    """

    uri: str
    kind: Literal["arrived", "deleted"]
    partition: str | None
    observed_at: float
    identity: Identity | None = None
    supersedes_unread: bool = True
    problem: str = ""
    """Why it is refused, in one line (two files of one key, a link out of the project). Then it is
    recorded as `rejected` with this detail, its identity as known, and is never read."""


class Batch(msgspec.Struct, frozen=True):
    """What one look brought: committed together with the cursor."""

    sensor: str
    arrivals: tuple[Arrival, ...]
    cursor: str = ""


class Health(msgspec.Struct, frozen=True):
    """How a sensor is: state as in CLI.md, what it lags behind, and its last error.

    `note` is what is worth knowing though nothing is wrong, such as 'no notifications on nfs'.
    """

    state: Literal["watching", "scanning", "paused", "failed"]
    error: str = ""
    lag: int = 0
    hint: str = ""
    note: str = ""


Emit = Callable[[Batch], Awaitable[None]]


class Sensor(Protocol):
    """One running sensor. `name` is the source's."""

    name: str
    kind: str

    @property
    def health(self) -> Health:
        """How it is now."""
        ...

    async def run(self, emit: Emit) -> None:
        """Watch until cancelled. Raises SensorError when it cannot go on; it may be run again."""
        ...

    async def scan(self, *, accept: bool = False) -> int:
        """Look at everything now; return how many arrivals were emitted and acknowledged."""
        ...
