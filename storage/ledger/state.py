"""What a start-up reads to rebuild the state in memory; whatever is only there comes from here."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from afresh.storage.ledger import queries

Read = Callable[[str, Mapping[str, Any]], list[tuple[Any, ...]]]
"""`reader.rows` of any ledger."""


class JournalEvent(NamedTuple):
    """One event of the journal; `identity` and `position` are JSON."""

    seq: int
    epoch: int | None
    sensor: str
    source: str
    partition: str
    kind: str
    uri: str
    observed_at: float
    state: str
    run: str | None
    detail: str
    identity: str
    payload: bytes
    staged: str
    position: str
    depth: int


class PendingEvent(NamedTuple):
    """An event that is to be read, without its payload.

    A stream that was paused for long may have brought more than fits into memory.
    """

    seq: int
    epoch: int | None
    sensor: str
    source: str
    partition: str
    kind: str
    uri: str
    observed_at: float
    state: str
    run: str | None
    detail: str
    identity: str
    payload_bytes: int
    staged: str
    position: str
    depth: int


class RunRow(NamedTuple):
    """One run of one output unit; `events`, `reasons` and `error` are JSON."""

    run: str
    asset: str
    partition: str
    epoch: int
    attempt: int
    run_key: str
    state: str
    cause_kind: str
    cause_event: int | None
    events: str
    reasons: str
    code_version: str
    staging: str
    started_at: float
    ended_at: float | None
    error: str
    version: int | None


class PauseRow(NamedTuple):
    """A pause of an asset, a unit or a sensor; or a unit that is excepted from its asset's."""

    kind: str
    name: str
    partition: str
    at: float


class AlertRow(NamedTuple):
    """A trouble that was alerted and has not ended."""

    subject: str
    state: str
    since: float
    detail: str


class State(NamedTuple):
    """All but the units, of which `units.py` reads some at a time.

    `under_way` are the runs that were interrupted.
    """

    seq: int
    epoch: int
    pending: list[PendingEvent]
    under_way: list[RunRow]
    pauses: list[PauseRow]
    alerts: list[AlertRow]


class PathState(NamedTuple):
    """What a sensor last recorded of a path; `identity` is JSON."""

    uri: str
    identity: str
    seq: int


def load_state(read: Read) -> State:
    """Read what a start-up needs but for units; the caller holds the lease: nothing moves."""
    seq, epoch = read(queries.POSITION, {})[0]
    return State(
        seq=seq,
        epoch=epoch,
        pending=[PendingEvent(*row) for row in read(queries.PENDING_EVENTS, {})],
        under_way=[RunRow(*row) for row in read(queries.RUNS_UNDER_WAY, {})],
        pauses=[PauseRow(*row) for row in read(queries.PAUSES, {})],
        alerts=[AlertRow(*row) for row in read(queries.ALERTS, {})],
    )


def load_paths(read: Read, sensor: str) -> dict[str, PathState]:
    """Read what a sensor last recorded of each of its paths, by uri."""
    return {row[0]: PathState(*row) for row in read(queries.PATHS, {"sensor": sensor})}
