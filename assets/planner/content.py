"""What a unit is at an epoch: its content, and the history of it by intervals of epochs."""

from collections.abc import KeysView, Mapping
from enum import Enum
from functools import lru_cache

from msgspec import Struct

OPEN = 1 << 62
"""The end of an interval that holds until a change is known to reach the unit."""


class Gone(Enum):
    """What a unit can be at an epoch other than a version."""

    DELETED = "deleted"
    """Propagated tombstone: the unit is in no `all`, its own readers get tombstones."""
    HELD = "held"
    """Failed, rejected or deleted with `fail`: readers hold, the last good version stays (P6)."""
    ABSENT = "absent"
    """There never was a version."""


class Span(Struct, frozen=True):
    """Rows `start` to `end` (excluded) of a stream's sequence, which only grows.

    `origin` is the row with which it was begun anew last: a reader that has read rows before it
    has read what is no more.
    """

    start: int
    end: int
    origin: int


class Mark(Struct, frozen=True):
    """How far a stream was read: up to row `end` (excluded), since it was begun with `origin`."""

    asset: str
    end: int
    origin: int


class Columns(Struct, frozen=True):
    """The content hash of each column, packed: there is one for every version that is kept.

    The names are one tuple for all versions that have the same.
    """

    names: tuple[str, ...]
    hashes: str

    @classmethod
    def of(cls, columns: Mapping[str, str]) -> "Columns":
        """Pack names and their hashes."""
        return cls(_shared(tuple(columns)), "\0".join(columns.values()))

    def keys(self) -> KeysView[str]:
        """The names of the columns."""
        return dict.fromkeys(self.names).keys()

    def get(self, name: str, default: str = "") -> str:
        """The hash of a column, the default if there is none."""
        return self[name] if name in self.names else default

    def __getitem__(self, name: str) -> str:
        """The hash of a column that there is."""
        return self.hashes.split("\0")[self.names.index(name)]


@lru_cache(maxsize=4096)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


class Content(Struct, frozen=True):
    """One version of one unit: its identity, and where its artifact is.

    `columns` are the content hashes of the columns; `fingerprint` is of the whole table; `event` is
    the journal's seq of the first cause (P5). `span` is which rows it is of a stream, None for
    anything else.
    """

    version: int
    fingerprint: str
    columns: Columns
    uri: str = ""
    hash: str = ""
    rows: int = 0
    code: str = ""
    event: int | None = None
    run: str = ""
    created_at: float = 0.0
    span: Span | None = None

    def digest(self, columns: tuple[str, ...]) -> str:
        """The identity of those columns; of all of them when none is named."""
        if not columns:
            return self.fingerprint
        return "\0".join(f"{name}\1{self.columns.get(name)}" for name in columns)


State = Content | Gone


class Interval(Struct):
    """From `start` to `end`, both included, the unit's outputs are in these states."""

    start: int
    end: int
    states: tuple[State, ...]


class History(Struct):
    """The intervals at which a unit is settled, oldest first, never overlapping.

    An epoch in no interval was not looked at, or is not settled yet.
    """

    intervals: tuple[Interval, ...] = ()

    @property
    def settled_at(self) -> int:
        """The newest epoch settled at: 0 if none, OPEN if no change is known beyond."""
        return self.intervals[-1].end if self.intervals else 0

    @property
    def latest(self) -> tuple[State, ...] | None:
        """The outputs' states in the newest interval."""
        return self.intervals[-1].states if self.intervals else None

    def at(self, epoch: int) -> tuple[State, ...] | None:
        """The outputs' states as of an epoch, None where the unit is not settled."""
        for interval in reversed(self.intervals):
            if interval.start <= epoch:
                return interval.states if epoch <= interval.end else None
        return None

    def floor(self, epoch: int, output: int) -> int:
        """The newest settled epoch up to `epoch` at which readers of that output can go on.

        0 if there is none.
        """
        for interval in reversed(self.intervals):
            if interval.start <= epoch and interval.states[output] is not Gone.HELD:
                return min(epoch, interval.end)
        return 0

    def close(self, epoch: int) -> None:
        """A change at `epoch` reaches the unit: what it is from there on is not known."""
        if self.intervals and self.intervals[-1].end >= epoch:
            self.intervals[-1].end = epoch - 1

    def settle(self, epoch: int, end: int, states: tuple[State, ...], keep: set[int]) -> None:
        """Record the states from `epoch` to `end`.

        Forget intervals that no epoch in `keep` needs.
        """
        last = self.intervals[-1] if self.intervals else None
        if last is not None and last.end >= epoch:
            msg = f"settled at {last.end}, asked to settle at {epoch}: epochs of a unit only grow"
            raise ValueError(msg)
        if last is not None and last.end == epoch - 1 and last.states == states:
            last.end = end
            return
        older = (old for old in self.intervals[:-1] if any(old.start <= e <= old.end for e in keep))
        self.intervals = (*older, *self.intervals[-1:], Interval(epoch, end, states))
