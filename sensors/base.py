"""What a sensor is: something that notices arrivals and hands them on, in batches.

`await emit(batch)` returning is the acknowledgement: the events and the cursor are committed in
one transaction (P1). A sensor that is cancelled or fails meanwhile is told before it ends, so what
follows `emit` up to the next await is done in any case. After a restart of the daemon it emits
again what the ledger does not have.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol, runtime_checkable

import msgspec

from afresh.assets.manifest import Source
from afresh.sensors.http_route import HttpRoutes


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """What tells one state of a file from the next without reading it."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class ObjectIdentity(msgspec.Struct, frozen=True, tag="object"):
    """What a store's listing says of one state of an object; an etag is no content hash."""

    etag: str
    version: str
    size: int
    modified_at: float


class Arrival(msgspec.Struct, frozen=True):
    """Something appeared, changed or went. `uri` is what the source's key is captured from.

    For files: the path relative to the project with `/`, percent-encoded as keys are
    (`% , [ ] @ *`, control characters, bytes that are not UTF-8). `partition` is the captured key
    ("" without captures), None when the uri matches no source pattern: then it is unmatched, and a
    `deleted` only says that it need not be remembered.

    Of a stream (a source that only grows) an arrival is a batch of records, encoded as `records`
    says: in `payload` or, when it is large, in the synced file `staged`; `position` says as JSON
    where in the stream they come from. A `gap` tells of records that are lost for good, `detail`
    which exactly; `news` of what changed without a loss, such as a new partition. Nothing is
    ingested for either.
    """

    uri: str
    kind: Literal["arrived", "deleted", "tick", "gap", "news"]
    partition: str | None
    observed_at: float
    identity: Identity | ObjectIdentity | None = None
    problem: str = ""
    """Why it is refused, in one line (two files of one key, a link out of the project). Then it is
    recorded as `rejected` with this detail, its identity as known, and is never read."""
    payload: bytes = b""
    staged: str = ""
    position: str = ""
    detail: str = ""
    depth: int = 0
    """How many runs in a row led to it, each to the next, as far as it says (see `depth`)."""


class Batch(msgspec.Struct, frozen=True):
    """What one look brought: committed together with the cursor ("" leaves it as it is)."""

    sensor: str
    arrivals: tuple[Arrival, ...]
    cursor: str = ""


class Health(msgspec.Struct, frozen=True):
    """How a sensor is: its state, what it lags behind, and its last error.

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

    @property
    def checked(self) -> bool:
        """Has it looked at everything that was there when it started."""
        ...

    @property
    def is_quiet(self) -> bool:
        """Is all that it saw acknowledged."""
        ...

    async def run(self, emit: Emit) -> None:
        """Watch until cancelled. Raises SensorError when it cannot go on; it may be run again."""
        ...

    async def scan(self, *, accept: bool = False) -> int:
        """Look at everything now; return how many arrivals were emitted and acknowledged."""
        ...


@runtime_checkable
class Confirming(Protocol):
    """A sensor of objects: an ingest may read a later state than the one that was reported."""

    def confirm(self, uri: str, identity: ObjectIdentity) -> None:
        """Note what was read: then it is not news."""
        ...


@runtime_checkable
class Judging(Protocol):
    """A sensor of files or objects: of several of one key none is to be read."""

    def refusal(self, uri: str, key: str) -> str:
        """Say why not to read one that somebody names by hand; "" where nothing is against it."""
        ...


@dataclass(frozen=True, slots=True)
class SensorContext:
    """What a sensor is built from: its source, and what the ledger recorded of it.

    `known` maps the uris that were recorded to their identities as JSON, `cursor` is what the last
    batch left. `staging` is a folder of its own for what is too large for an event's row; `tell`
    is to be called when its health has changed. `http` is the daemon's server, for sensors that
    are called rather than call. `snapshot` is the folder with the project's files as they were
    loaded.
    """

    source: Source
    project: str
    staging: str
    cursor: str
    known: Mapping[str, str]
    now: Callable[[], float]
    random: Random
    tell: Callable[[], None]
    http: HttpRoutes | None = None
    snapshot: str = ""
