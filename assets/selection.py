"""The selection language: which units a command is about.

`orders`, `orders[2024-*]`, `+orders` (and upstream), `orders+` (and downstream), `1+orders+2` (so
many steps), `tag:pii`, `group:billing`, `state:stale`, `a,b` (both), `a b` (either), `!a` (not).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import get_args

from afresh.assets.errors import UsageError
from afresh.assets.graph import Graph, reach
from afresh.assets.nearest import did_you_mean
from afresh.assets.partition import decode_part, encode_part
from afresh.assets.planner.view import State

Unit = tuple[str, str]
StateOf = Callable[[str, str], str]

STATES: tuple[str, ...] = get_args(State)
_TERM = re.compile(r"(?:([0-9]*)\+)?([^+\[\]]+(?:\[[^\[\]]*\])?)(?:\+([0-9]*))?", re.DOTALL)
_BRACKETED = re.compile(r"\[[^\[\]]*\]")
_HINT = "write orders, orders[2024-*], +orders, orders+, tag:x, group:x, state:stale, a,b or !a"


def select(expression: str, graph: Graph, units: Iterable[Unit], state_of: StateOf) -> set[Unit]:
    """Give the units that an expression names. Raises UsageError for a name that nothing has."""
    return _Selector(graph, units, state_of).either(expression)


def check_syntax(expression: str | None) -> None:
    """Raise UsageError for what is no selection, whatever there is to select from."""
    for term in _split(expression or "", r"\s"):
        for factor in _split(term, ",", keep_empty=True):
            if _TERM.fullmatch(factor.lstrip("!")) is None:
                raise UsageError(f"Expected a selection, found {factor!r}", hint=_HINT)


class _Selector:
    """One evaluation: the units by asset, and what the parts of the expression come to."""

    def __init__(self, graph: Graph, units: Iterable[Unit], state_of: StateOf) -> None:
        self.graph = graph
        self.state_of = state_of
        self.keys: dict[str, set[str]] = {asset: set() for asset in graph.assets}
        for asset, partition in units:
            self.keys.setdefault(asset, set()).add(partition)

    def either(self, expression: str) -> set[Unit]:
        terms = list(_split(expression, r"\s"))
        if not terms:
            raise UsageError("Expected a selection, found nothing", hint=_HINT)
        selected: set[Unit] = set()
        for term in terms:
            selected |= self.both(term)
        return selected

    def both(self, expression: str) -> set[Unit]:
        factors = [self.one(factor) for factor in _split(expression, ",", keep_empty=True)]
        return set.intersection(*factors)

    def one(self, text: str) -> set[Unit]:
        if text.startswith("!"):
            return self.units_of(self.keys) - self.one(text[1:])
        found = _TERM.fullmatch(text)
        if found is None:
            raise UsageError(f"Expected a selection, found {text!r}", hint=_HINT)
        above, core, below = found.groups()
        if "[" not in core and not core.startswith("state:"):
            # Whole assets: their neighbours are found without looking at units.
            assets = self.named(core)
            return self.units_of(self.around(assets, above, below))
        if core.startswith("state:"):
            chosen = self.in_state(core.removeprefix("state:"))
        else:
            chosen = self.with_key(core)
        return self.neighbours(chosen, above, below)

    def named(self, core: str) -> list[str]:
        """Give the assets of a name (`*` stands for anything), a tag or a group."""
        kind, colon, value = core.partition(":")
        graph = self.graph
        if colon and kind == "tag":
            known = {tag for asset in graph.assets for tag in graph.tags(asset)}
            _expect("a tag", value, known)
            return [asset for asset in graph.assets if value in graph.tags(asset)]
        if colon and kind == "group":
            known = {graph.group(asset) for asset in graph.assets} - {""}
            _expect("a group", value, known)
            return [asset for asset in graph.assets if graph.group(asset) == value]
        if "*" in core:
            matches = _glob(core.split("*"))
            return [asset for asset in self.keys if matches(asset)]
        if "@" in core:
            raise UsageError(
                f"Expected units, found a version: {core!r}", hint="leave out what follows the @"
            )
        _expect("an asset", core, self.keys)
        return [core]

    def with_key(self, core: str) -> set[Unit]:
        name, _, rest = core.partition("[")
        key = rest.removesuffix("]")
        if not key:
            raise UsageError(
                f"Expected a partition between the brackets, found {core!r}", hint=_HINT
            )
        pieces = [_normal(piece) for piece in key.split("*")]
        assets = self.named(name)
        if len(pieces) == 1:
            found = {(asset, pieces[0]) for asset in assets if pieces[0] in self.keys[asset]}
            if not found:
                known = {k for asset in assets for k in self.keys[asset] if k}
                otherwise = f"it has {len(known)} partitions" if known else "it has no partitions"
                raise UsageError(
                    f"Expected a partition of {name}, found {key!r}",
                    hint=did_you_mean(pieces[0], known, otherwise),
                )
            return found
        matches = _glob(pieces)
        return {(a, k) for a in assets for k in self.keys[a] if k and matches(k)}

    def in_state(self, state: str) -> set[Unit]:
        _expect("a state", state, STATES)
        return {unit for unit in self.units_of(self.keys) if self.state_of(*unit) == state}

    def units_of(self, assets: Iterable[str]) -> set[Unit]:
        return {(asset, key) for asset in assets for key in self.keys.get(asset, ())}

    def around(self, assets: list[str], above: str | None, below: str | None) -> set[str]:
        """Give these assets, and what is within so many steps of them (None: not at all)."""
        up, down = self.graph.up, self.graph.down
        chosen = set(assets)
        known = [asset for asset in assets if asset in self.graph]
        if above is not None:
            chosen |= reach(known, lambda asset: up[asset], _depth(above))
        if below is not None:
            chosen |= reach(known, lambda asset: down[asset], _depth(below))
        return chosen

    def neighbours(self, units: set[Unit], above: str | None, below: str | None) -> set[Unit]:
        chosen = set(units)
        if above is not None:
            chosen |= reach(units, self.read_by, _depth(above))
        if below is not None:
            chosen |= reach(units, self.readers_of, _depth(below))
        return chosen

    def read_by(self, unit: Unit) -> Iterator[Unit]:
        """Give the units that this one reads."""
        asset, key = unit
        for read in self.graph.inputs(asset) if asset in self.graph else ():
            yield from self.through(read.asset, key if read.reads == "own" else None)

    def readers_of(self, unit: Unit) -> Iterator[Unit]:
        """Give the units that read this one."""
        asset, key = unit
        for reader in self.graph.down.get(asset, ()):
            reads = {i.reads for i in self.graph.inputs(reader) if i.asset == asset}
            yield from self.through(reader, None if "all" in reads else key)

    def through(self, asset: str, key: str | None) -> Iterable[Unit]:
        keys: AbstractSet[str] = self.keys.get(asset, set())
        if key is None:
            return [(asset, k) for k in keys]
        return [(asset, key)] if key in keys else []


def _split(text: str, at: str, *, keep_empty: bool = False) -> Iterator[str]:
    """Split outside of brackets: what is within belongs to the key."""
    hidden = _BRACKETED.sub(lambda found: "x" * len(found[0]), text)
    start = 0
    for gap in re.finditer(at, hidden):
        if gap.start() > start or keep_empty:
            yield text[start : gap.start()]
        start = gap.end()
    if start < len(text) or keep_empty:
        yield text[start:]


def _normal(piece: str) -> str:
    """Write a piece of a key as keys are written: `%2c` as `%2C`."""
    parts = piece.split(",")
    return ",".join(encode_part(decode_part(part)) if part else "" for part in parts)


def _glob(pieces: list[str]) -> Callable[[str], bool]:
    regex = re.compile(".*".join(map(re.escape, pieces)), re.DOTALL)
    return lambda text: regex.fullmatch(text) is not None


def _depth(digits: str) -> int | None:
    return int(digits[:9]) if digits else None


def _expect(what: str, value: str, known: Iterable[str]) -> None:
    known = set(known)
    if value not in known:
        few = f"there are: {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""
        raise UsageError(
            f"Expected {what}, found {value!r}", hint=did_you_mean(value, known, few or _HINT)
        )
