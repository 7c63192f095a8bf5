"""What a graph must be as of any epoch, worked out naively from the list of changes.

Independent of the product: it imports nothing of it, keeps no state between epochs, and evaluates
the whole graph each time. Contents are two columns: `a` differs whenever anything that was read
differs, `b` is coarse and made of `b` alone, so that early cutoff can be seen.
"""

from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import Literal


class Mark(Enum):
    """What a unit can be other than a content."""

    DELETED = "deleted"
    HELD = "held"
    """A source's unit whose readers hold."""
    FAILED = "failed"
    BLOCKED = "blocked"
    """It needs something failed, held, missing or blocked."""
    MISSING = "missing"
    """An input has no unit at all."""


NEVER = 1 << 62
"""An epoch that does not come."""
STUCK = frozenset({Mark.HELD, Mark.FAILED, Mark.BLOCKED, Mark.MISSING})


@dataclass(frozen=True)
class Value:
    """One content."""

    a: str
    b: str

    @property
    def columns(self) -> dict[str, str]:
        """As the product has it: column to hash."""
        return {"a": self.a, "b": self.b}

    @property
    def fingerprint(self) -> str:
        """Of the whole table."""
        return f"{self.a}|{self.b}"

    def project(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """What a reader of these columns sees; of all where none is named."""
        return tuple(self.columns[name] for name in columns or ("a", "b"))


Outcome = Value | Mark
Unit = tuple[str, str]
Reads = tuple[tuple[tuple[str, tuple[str, ...]], ...], ...]
"""Of each input the (key, columns as read) of its parts, in key order."""


@dataclass(frozen=True)
class SourceSpec:
    """A source."""

    name: str
    partitioned: bool = True
    on_delete: Literal["keep", "propagate", "fail"] = "keep"
    on_reject: Literal["keep", "hold"] = "keep"


@dataclass(frozen=True)
class Read:
    """One input. `own`: the same key; else all units."""

    asset: str
    own: bool = False
    columns: tuple[str, ...] = ()


Refresh = Literal["eager", "debounce", "manual", "cron", "freshness", "all_new", "any_new"]
LEAVES: frozenset[Refresh] = frozenset({"manual", "cron", "freshness", "all_new", "any_new"})
"""Policies that leave a unit behind: it changes only where something lets it run."""


@dataclass(frozen=True)
class FunctionSpec:
    """A function; `fails` says how it breaks on one reading in three."""

    outputs: tuple[str, ...]
    reads: tuple[Read, ...]
    partitioned: bool = False
    fails: Literal["never", "raises", "rejects"] = "never"
    attempts: int = 1
    refresh: Refresh = "eager"
    named: tuple[str, ...] = ()
    """The inputs that its condition names."""

    @property
    def is_root(self) -> bool:
        """Whether readers go on with its last version while it is behind."""
        return self.refresh in LEAVES

    @property
    def name(self) -> str:
        """The first output's."""
        return self.outputs[0]


@dataclass(frozen=True)
class GraphSpec:
    """A graph, functions upstream first."""

    sources: tuple[SourceSpec, ...]
    functions: tuple[FunctionSpec, ...]

    @property
    def partitioned(self) -> dict[str, bool]:
        """Of each asset."""
        found = {source.name: source.partitioned for source in self.sources}
        found |= {out: each.partitioned for each in self.functions for out in each.outputs}
        return found


def _hash(*parts: object) -> str:
    return blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def make(output: str, key: str, code: str, reads: Reads) -> Value:
    """What a function gives; pure."""
    coarse = [part[1][-1] for item in reads for part in item]
    made = int(_hash(output, sorted(coarse)), 16) % 2
    return Value(_hash(output, key, code, reads), str(made))


def breaks(function: FunctionSpec, output: str, key: str, code: str, reads: Reads) -> bool:
    """Whether this output fails on this reading, however often it is tried."""
    if function.fails == "never":
        return False
    name = function.name if function.fails == "raises" else output
    return int(_hash("breaks", name, key, code, reads), 16) % 3 == 0


@dataclass
class Oracle:
    """The list of changes, and what follows from it."""

    spec: GraphSpec
    code: str = "c0"
    sources: list[tuple[int, Unit, Outcome]] = field(default_factory=list)
    codes: list[tuple[int, str, str]] = field(default_factory=list)
    let_run: dict[Unit, list[int]] = field(default_factory=dict)
    """Of each root unit (by its function's name) the epochs at which something let it run."""
    ran: dict[Unit, list[int]] = field(default_factory=dict)
    """And those at which it was settled because of that."""
    _memo: dict[int, dict[Unit, Outcome]] = field(default_factory=dict)
    _changed: int = 0

    def change(self, epoch: int, unit: Unit, outcome: Outcome) -> None:
        """A source's unit is something else from that epoch on."""
        self.sources.append((epoch, unit, outcome))
        self._forget(epoch)

    def recode(self, epoch: int, function: str, code: str) -> None:
        """A function has other code from that epoch on."""
        self.codes.append((epoch, function, code))
        self._forget(epoch)

    def release(self, epoch: int, unit: Unit) -> None:
        """Something lets a root's unit run from that epoch on."""
        self.let_run.setdefault(unit, []).append(epoch)
        self._forget(epoch)

    def settle(self, epoch: int, unit: Unit) -> None:
        """A root's unit has taken what it reads as of that epoch."""
        self.ran.setdefault(unit, []).append(epoch)
        self._forget(epoch)

    def base(self, function: FunctionSpec, key: str, epoch: int) -> int | None:
        """As of which epoch a root's unit is what it is at `epoch`; None if it is not there yet."""
        released = [at for at in self.let_run.get((function.name, key), []) if at <= epoch]
        if not released:
            return None
        ran = [at for at in self.ran.get((function.name, key), []) if released[-1] <= at <= epoch]
        return ran[-1] if ran else released[-1]

    def can_exist(self, function: FunctionSpec, key: str, epoch: int) -> bool:
        """Whether all is there that a unit reads as its own."""
        states = self.at(epoch)
        return all(
            (read.asset, key if read.own else "") in states
            for read in function.reads
            if self.is_own(function, read)
        )

    def natural_keys(self, function: FunctionSpec, epoch: int) -> list[str]:
        """The units that a function would have if nothing held it back."""
        return self._natural(function, self.at(epoch))

    def take_changed(self) -> int:
        """Give the first epoch of which it says something else than when this was last asked."""
        changed, self._changed = self._changed, NEVER
        return changed

    def _forget(self, epoch: int) -> None:
        self._changed = min(self._changed, epoch)
        self._memo = {e: states for e, states in self._memo.items() if e < epoch}

    def last(self, unit: Unit) -> Outcome | None:
        """What a source's unit is by now."""
        found = [outcome for _, each, outcome in self.sources if each == unit]
        return found[-1] if found else None

    def last_value(self, unit: Unit) -> Value | None:
        """The last good content of a source's unit."""
        found = [out for _, each, out in self.sources if each == unit and isinstance(out, Value)]
        return found[-1] if found else None

    def code_at(self, function: str, epoch: int) -> str:
        """The code in force."""
        found = [code for at, name, code in self.codes if name == function and at <= epoch]
        return found[-1] if found else self.code

    def is_own(self, function: FunctionSpec, read: Read) -> bool:
        """Whether it reads one unit; without partitions on either side the only one is its own."""
        return read.own or not (function.partitioned or self.spec.partitioned[read.asset])

    def at(self, epoch: int) -> dict[Unit, Outcome]:
        """All units that exist as of an epoch, with what each must be."""
        if epoch not in self._memo:
            states: dict[Unit, Outcome] = {
                unit: outcome for at, unit, outcome in self.sources if at <= epoch
            }
            for function in self.spec.functions:
                for key in self._keys(function, states, epoch):
                    states.update(self._evaluate(function, key, states, epoch))
            self._memo[epoch] = states
        return self._memo[epoch]

    def _keys(self, function: FunctionSpec, states: dict[Unit, Outcome], epoch: int) -> list[str]:
        if function.is_root:
            units = [key for name, key in self.let_run if name == function.name]
            return sorted(key for key in units if self.base(function, key, epoch) is not None)
        return self._natural(function, states)

    def _natural(self, function: FunctionSpec, states: dict[Unit, Outcome]) -> list[str]:
        if not function.partitioned:
            return [""]
        own = [{k for a, k in states if a == read.asset} for read in function.reads if read.own]
        return sorted(set.intersection(*own))

    def cut(self, function: FunctionSpec, key: str, epoch: int) -> Reads | Mark:
        """What a run must be given as of an epoch; a mark where there can be none."""
        return self._gather(function, key, self.at(epoch))

    def _gather(
        self, function: FunctionSpec, key: str, states: dict[Unit, Outcome]
    ) -> Reads | Mark:
        reads = []
        mark: Mark | None = None
        absent = False
        for read in function.reads:
            own = self.is_own(function, read)
            keys = [key] if read.own else sorted(k for a, k in states if a == read.asset)
            parts = []
            for each in keys:
                state = states[read.asset, each]
                if isinstance(state, Value):
                    parts.append((each, state.project(read.columns)))
                elif state in STUCK:
                    return Mark.BLOCKED
                elif own:
                    mark = Mark.DELETED
            if own and not keys:
                # What never was is waited for, whatever else is gone.
                absent = True
            elif not parts:
                mark = mark or Mark.MISSING
            reads.append(tuple(parts))
        return Mark.MISSING if absent else mark or tuple(reads)

    def _evaluate(
        self, function: FunctionSpec, key: str, states: dict[Unit, Outcome], epoch: int
    ) -> dict[Unit, Outcome]:
        base = self.base(function, key, epoch) if function.is_root else epoch
        if base is not None and base < epoch:
            now = self._gather(function, key, states)
            if base not in self.ran.get((function.name, key), []) and isinstance(now, Mark):
                # It was let run, could not yet, and now cannot.
                return dict.fromkeys(((output, key) for output in function.outputs), now)
            before = self.at(base)
            return {(output, key): before[output, key] for output in function.outputs}
        return self._make(function, key, states, epoch)

    def is_behind(self, function: FunctionSpec, key: str, epoch: int) -> bool:
        """Whether a unit would be other than it is if it took what it reads by now."""
        states = self.at(epoch)
        natural = self._make(function, key, states, epoch)
        return any(states.get(unit) != outcome for unit, outcome in natural.items())

    def evaluate(self, function: FunctionSpec, key: str, epoch: int) -> dict[Unit, Outcome]:
        """What a unit would be if it took what it reads as of an epoch."""
        return self._make(function, key, self.at(epoch), epoch)

    def _make(
        self, function: FunctionSpec, key: str, states: dict[Unit, Outcome], epoch: int
    ) -> dict[Unit, Outcome]:
        reads = self._gather(function, key, states)
        found: dict[Unit, Outcome] = {}
        code = self.code_at(function.name, epoch)
        for output in function.outputs:
            if isinstance(reads, Mark):
                found[output, key] = reads
            elif breaks(function, output, key, code, reads):
                found[output, key] = Mark.FAILED
            else:
                found[output, key] = make(output, key, code, reads)
        return found
