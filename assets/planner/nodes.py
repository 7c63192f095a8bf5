"""What the planner keeps of each unit. A function with several outputs has one node for a key."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

from afresh.assets.planner.content import OPEN, Content, Gone, History, Mark, State
from afresh.assets.planner.slim import Slim
from afresh.assets.planner.topology import Edge, Plan

NEVER = 1 << 62
MOST_EPOCHS = 256
"""A unit that is held up for days remembers no more changes than this one by one."""


class Pinned(Struct, frozen=True):
    """What one input is as of the run's epoch: the units in key order, with their contents."""

    edge: Edge
    parts: tuple[tuple[str, Content], ...]


Prepared = tuple[int, str, tuple[Pinned, ...]]
"""What a run is to be made of: epoch, run key, inputs."""


class Attempt(Struct, eq=False):
    """One try at a node on one cut. The reactor gives it its run id."""

    node: "Node"
    kind: Literal["ingest", "delete", "run"]
    epoch: int
    run_key: str
    number: int
    pinned: tuple[Pinned, ...] = ()
    events: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    cause: tuple[str, int | None] = ("arrived", None)
    code: str = ""
    forced: bool = False
    run: str = ""
    started_at: float = 0.0
    reads_from: dict[str, int] = {}
    """Of an incremental reader, the first row of each parameter that it is given."""
    reads_to: dict[str, int] = {}
    """Where that ends, of those of which there is more than one run is given."""
    replaces: bool = False
    """What it makes takes the place of all rows before."""
    unstored: int = 0
    """How many before it could not be stored."""

    @property
    def tries(self) -> int:
        """Its number, without those that could not be stored: a full disk is not an attempt."""
        return self.number - self.unstored


class Trouble(Struct, eq=False):
    """Why the last attempts failed, how many there were, and whether it is tried again."""

    attempts: int
    kind: str
    error: str
    run: str = ""
    final: bool = True
    retry_at: float | None = None
    outputs: tuple[int, ...] = ()
    """The outputs that failed; empty for all of them."""
    unstored: int = 0
    """Of the attempts, those that could not be stored."""


class Node(Struct, eq=False):
    """One (plan, key).

    `dirty` are the epochs of changes that may reach it and that it is not settled at, oldest first;
    `heads` the last good content of each output, `known` the outcome of every run key. `owes` maps
    the epochs that it must not pass to the joins that wait for it there, `target` is its own such
    epoch and `outstanding` counts who still owes it that.
    """

    plan: Plan
    key: str
    born: int
    history: History = field(default_factory=History)
    dirty: tuple[int, ...] = ()
    heads: list[Content | None] = field(default_factory=list)
    by_fingerprint: tuple[Slim[Content], ...] = ()
    numbers: list[int] = field(default_factory=list)
    """The highest version number that each output was given."""
    known: Slim[tuple[State, ...]] = field(default_factory=Slim)
    prepared: Prepared | None = None
    """Of a node that waits for a place; what is settled stays as it is."""
    running: Attempt | None = None
    trouble: Trouble | None = None
    paused: bool = False
    requested: bool = False
    forced: bool = False
    code_stale: bool = False
    stale_since: float | None = None
    wake_at: float | None = None
    queued: bool = False
    owes: dict[int, dict["Node", None]] | None = None
    target: int | None = None
    outstanding: int = 0
    debtors: tuple["Node", ...] = ()
    watching: tuple["Node", ...] = ()
    watchers: dict["Node", None] | None = None
    pending: list[tuple[int, str]] | None = None
    """A source's recorded arrivals that are not ingested yet: (seq, kind), oldest first."""
    deleted: bool = False
    failures: dict[str, Trouble] | None = None
    """Of the run keys that are known to fail, how they did."""
    missing_at: int = 0
    """The newest epoch at which something that it needs did not exist."""
    missing: str = ""
    """What does not exist that it needs, as a reference; empty if nothing."""
    epoch: int = 0
    """The epoch that it was last settled at."""
    gap: int = 0
    """The newest epoch of a change that was forgotten to keep `dirty` short."""
    last_read: Slim[tuple[tuple[str, int], ...]] = field(default_factory=Slim)
    """Of the head's run: the (partition, version) of each input, to say what changed."""
    updated_at: float | None = None
    requested_event: int | None = None
    requested_epoch: int = 0
    marks: dict[str, Mark] | None = None
    """Of an incremental reader, by parameter: what it has read of the stream, up to its end."""
    staged: tuple[Content, ...] | None = None
    """Of one that is being made anew by several runs, what they made so far: the next heads."""
    salt: str = ""
    """Of an asset that reads nothing, what lets it run: its run key is another each time."""
    deleted_event: int | None = None
    """The journal's seq of a source's deletion that is in force."""
    code_event: int | None = None
    """The journal's seq of the change of definitions that it was last marked for."""

    @property
    def name(self) -> tuple[str, str]:
        """The node's identity: its plan's name and its key."""
        return self.plan.name, self.key

    def count_attempts(self) -> tuple[int, int]:
        """The next attempt's number, and how many of those before it could not be stored.

        They are counted until one succeeds or the last one has failed, whatever they read.
        """
        trouble = self.trouble
        if trouble is None or trouble.final:
            return 1, 0
        return trouble.attempts + 1, trouble.unstored

    def mark(self, epoch: int) -> bool:
        """A change at `epoch` may reach it. False if that was known."""
        if self.dirty and self.dirty[-1] >= epoch:
            return False
        self.history.close(epoch)
        self.dirty += (epoch,)
        if len(self.dirty) > MOST_EPOCHS:
            self.gap = self.dirty[MOST_EPOCHS // 2]
            self.dirty = self.dirty[:1] + self.dirty[MOST_EPOCHS // 2 + 1 :]
        return True

    def watch(self, others: Iterable["Node"]) -> None:
        """Wait for others: it is looked at when one of them is settled."""
        for other in others:
            if other.watchers is None:
                other.watchers = {}
            if self not in other.watchers:
                other.watchers[self] = None
                self.watching += (other,)

    def unwatch(self) -> None:
        """Wait for nobody."""
        for other in self.watching:
            if other.watchers is not None:
                other.watchers.pop(self, None)
                other.watchers = other.watchers or None
        self.watching = ()

    def forget_failures(self) -> None:
        """What failed is tried again when it is asked for, or should it come back."""
        self.known = Slim((k, v) for k, v in self.known.items() if Gone.HELD not in v)
        self.failures = None

    def mend(self, states: tuple[State, ...]) -> bool:
        """Take the artifact of what a source's unit is at already. False if it is not at that."""
        old, new = self.history.latest, states[0] if states else None
        if not (old and isinstance(new, Content) and isinstance(old[0], Content)):
            return False
        if old[0].version != new.version:
            return False
        self.history.intervals[-1].states = states
        self.heads[0] = self.by_fingerprint[0][new.fingerprint] = new
        return True

    def settle(self, epoch: int, states: tuple[State, ...], keep: set[int]) -> None:
        """The node's states as of `epoch` are known.

        They hold up to the next change that reaches it.
        """
        self.dirty = tuple(later for later in self.dirty if later > epoch)
        end = self.dirty[0] - 1 if self.dirty else OPEN
        if epoch < self.gap:
            end = epoch
        self.epoch = epoch
        self.history.settle(epoch, end, states, keep)
        for position, state in enumerate(states):
            if isinstance(state, Content):
                self.heads[position] = state
