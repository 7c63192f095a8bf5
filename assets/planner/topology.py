"""The manifest as the planner walks it: who reads whom, resolved once a generation."""

# hashlib's own, without OpenSSL, which importing hashlib loads: 2 ms of a command's start.
from _blake2 import blake2b
from collections.abc import Iterable
from itertools import count

from msgspec import Struct, field

from afresh.assets.manifest import Function, Manifest, Source
from afresh.assets.policy import Eager, Policy, is_root

_WITH = "+"


class Edge(Struct, eq=False):
    """One input of a plan. `own`: the producer's unit of the same key; else all of its units."""

    parameter: str
    producer: "Plan"
    output: int
    asset: str
    own: bool
    columns: tuple[str, ...]
    new: bool = False
    """Of a stream, only the rows since the reader's own mark."""


class Plan(Struct, eq=False):
    """A source or a function, with its edges both ways.

    `own_sources` are the sources that reach it by own partitions alone; `whole_sources` is the bit
    mask of those that reach it through at least one edge that reads all units, and which have a
    `bit` for that.
    """

    name: str
    assets: tuple[str, ...]
    code: str
    source: Source | None
    function: Function | None
    partitioned: bool
    parameters: str = ""
    policy: Policy = Eager()
    root: bool = False
    """Its policy may leave it behind: readers go on with its last version (P3)."""
    policed: bool = False
    """Its policy has a say in when it runs."""
    suspended: bool = False
    """Its module does not import: it keeps what it has, and cannot run."""
    outdated: bool = False
    """Its module does not import any more: it goes on by its last good definition."""
    stream: bool = False
    """Its versions are rows of a sequence that only grows."""
    incremental: bool = False
    """It reads a stream's new rows, and appends what it makes of them."""
    inputs: tuple[Edge, ...] = ()
    readers: tuple[tuple["Plan", Edge], ...] = ()
    own_sources: tuple["Plan", ...] = ()
    whole_sources: int = 0
    bit: int = 0
    rank: int = 0
    dimensions: int = 0
    """How many parts a key of it has; 0 for an asset that is one unit."""

    @property
    def reads_all(self) -> bool:
        """Whether it reads all units of a partitioned asset."""
        return any(not edge.own and edge.producer.partitioned for edge in self.inputs)

    def has_key(self, key: str) -> bool:
        """Whether a unit of this (encoded) key can be among its units.

        Its source, or what it is partitioned by, may have had other keys before.
        """
        return (key.count(",") + 1 if key else 0) == self.dimensions

    @property
    def named(self) -> list[Edge]:
        """The inputs whose keys give this plan its units."""
        return [edge for edge in self.inputs if edge.own] if self.partitioned else []


class Topology(Struct):
    """All plans of a generation, by plan name and by asset (with the output's position)."""

    plans: dict[str, Plan] = field(default_factory=dict)
    assets: dict[str, tuple[Plan, int]] = field(default_factory=dict)

    def sources_above(self, assets: Iterable[str]) -> set[str]:
        """Name the sources that assets are made from, directly or not; a source is its own."""
        stack = [self.assets[name][0] for name in assets if name in self.assets]
        seen = set(stack)
        while stack:
            above = {edge.producer for edge in stack.pop().inputs} - seen
            seen |= above
            stack += above
        return {plan.name for plan in seen if plan.source is not None}


def build_topology(manifest: Manifest) -> Topology:
    """Resolve a manifest without problems: inputs exist and there is no cycle."""
    topology = Topology()
    for source in manifest.sources:
        plan = Plan(
            source.name, (source.name,), source.code_key, source, None, bool(source.captures)
        )
        plan.stream = source.stream
        _add(topology, plan)
    for function in manifest.functions:
        parameters = "\0".join(
            f"{name}\1{value}"
            for name, value in sorted(function.parameters.items())
            if name not in function.volatile
        )
        names = tuple(output.asset for output in function.outputs)
        partitioned = bool(function.partitions)
        plan = Plan(
            function.name, names, function.code_key, None, function, partitioned, parameters
        )
        plan.policy, plan.root = function.refresh, is_root(function.refresh)
        plan.policed = not isinstance(plan.policy, Eager)
        _add(topology, plan)
    readers: dict[str, list[tuple[Plan, Edge]]] = {}
    for function in manifest.functions:
        plan = topology.plans[function.name]
        inputs: list[Edge] = []
        for item in function.inputs:
            producer, output = topology.assets[item.asset]
            own = item.reads == "own" or not (producer.partitioned or plan.partitioned)
            new = item.reads == "new"
            edge = Edge(item.parameter, producer, output, item.asset, own, item.columns, new)
            plan.incremental = plan.incremental or new
            plan.stream = plan.incremental
            inputs.append(edge)
            readers.setdefault(producer.name, []).append((plan, edge))
        plan.inputs = tuple(inputs)
        if plan.incremental and plan.parameters:
            # No run key of what was read comes again: its rows were made with these parameters.
            plan.code = with_parameters(plan.code, plan.parameters)
    for name, those in readers.items():
        topology.plans[name].readers = tuple(those)
    for name in manifest.kept:
        if name in topology.plans:
            topology.plans[name].suspended = True
    _rank(topology)
    return topology


def with_parameters(code: str, parameters: str) -> str:
    """A code version that is another one with other parameters."""
    return f"{code}{_WITH}{blake2b(parameters.encode(), digest_size=8).hexdigest()}"


def same_code(one: str, other: str) -> bool:
    """Whether two code versions differ in parameters at most."""
    return one.partition(_WITH)[0] == other.partition(_WITH)[0]


def _add(topology: Topology, plan: Plan) -> None:
    topology.plans[plan.name] = plan
    for position, asset in enumerate(plan.assets):
        topology.assets[asset] = (plan, position)


def _rank(topology: Topology) -> None:
    """Order plans by depth, and note for each which sources reach it and how."""
    bits = (1 << position for position in count())
    waiting = {name: len(plan.inputs) for name, plan in topology.plans.items()}
    ready = [plan for plan in topology.plans.values() if not plan.inputs]
    while ready:
        plan = ready.pop()
        if plan.source is not None:
            plan.own_sources = (plan,)
            plan.dimensions = len(plan.source.captures)
        for reader, edge in plan.readers:
            reader.rank = max(reader.rank, plan.rank + 1)
            reader.whole_sources |= plan.whole_sources
            if edge.own:
                reader.dimensions = plan.dimensions if reader.partitioned else 0
                # Along a chain all share one tuple.
                reader.own_sources = _union(plan.own_sources, reader.own_sources)
            else:
                for source in plan.own_sources:
                    source.bit = source.bit or next(bits)
                    reader.whole_sources |= source.bit
            waiting[reader.name] -= 1
            if not waiting[reader.name]:
                ready.append(reader)


def _union(some: tuple[Plan, ...], others: tuple[Plan, ...]) -> tuple[Plan, ...]:
    """Both, each once; the first itself where it has them all."""
    more = tuple(plan for plan in others if plan not in some)
    return some + more if more else some
