"""What the planner is told, and what it asks for. Plain data, both ways."""

from typing import Literal

from msgspec import Struct, field

from afresh.assets.planner.content import State
from afresh.assets.planner.nodes import Attempt, Node

DISPLACED = "displaced"
"""The kind of an end before the begin: other definitions came, and it is no attempt."""


class Arrived(Struct, frozen=True):
    """An arrival or deletion of a source's unit was recorded (that is no epoch yet)."""

    source: str
    partition: str
    seq: int
    kind: Literal["arrived", "deleted"]
    size: int = 0
    """Of a stream's batch, in bytes."""


class Ended(Struct, frozen=True):
    """An attempt ended and its end is committed, at the epoch that the commit took or was of.

    `states` has one entry an output; None where the attempt itself failed. `final` is false when
    the failure is to be retried at `retry_at`. Of an ingest `()` means that nothing came of it.
    """

    attempt: Attempt
    epoch: int
    states: tuple[State, ...] | None
    kind: str = ""
    error: str = ""
    retry_at: float | None = None


class Requested(Struct, frozen=True):
    """Someone asked for these units now; with `force` they run though nothing changed."""

    epoch: int
    units: tuple[tuple[str, str], ...]
    force: bool
    event: int


class Paused(Struct, frozen=True):
    """Automation of these units stopped (`on`) or started again.

    Key `*` is all an asset has or gets.
    """

    units: tuple[tuple[str, str], ...]
    on: bool


class Ticked(Struct, frozen=True):
    """A refresh policy lets these units of a plan run: the event that says so is committed.

    `until` is up to when a schedule's ticks are dealt with. Without `keys` there is no event.
    """

    epoch: int
    seq: int
    name: str
    keys: tuple[str, ...]
    detail: str
    until: float | None = None
    kind: str = "tick"


class Settled(Struct, frozen=True):
    """Asked for: the ledger records that a unit's outputs moved without a run (P4)."""

    node: Node
    epoch: int
    states: tuple[State, ...]
    run_key: str


class Commands(Struct):
    """What a step asks for: units that moved without a run, and those that failed or recovered.

    What let a unit run is to be kept (`released`) until that is `fulfilled`.
    """

    settled: list[Settled] = field(default_factory=list)
    troubled: list[Node] = field(default_factory=list)
    recovered: list[Node] = field(default_factory=list)
    released: list[tuple[Node, Ticked]] = field(default_factory=list)
    fulfilled: list[Node] = field(default_factory=list)
