"""What must hold: at every step, and when nothing is under way."""

from typing import TYPE_CHECKING

from afresh.assets.planner.changes import Ticked
from afresh.assets.planner.content import Columns, Content, Gone
from afresh.assets.planner.look import Looks
from afresh.assets.planner.nodes import NEVER, Node
from support.finding import Found, expect
from support.oracle import (
    STUCK,
    FunctionSpec,
    Mark,
    Read,
    Value,
    make,
)

if TYPE_CHECKING:
    from support.simulator import World


def check_histories(world: "World") -> None:
    """All that is settled is what the oracle says, at every epoch of the interval.

    What was compared before is compared again from where the oracle says something else by now.
    """
    newest, changed = world.planner.epoch, world.oracle.take_changed()
    for nodes in world.planner.graph.nodes.values():
        for node in nodes.values():
            last = 0
            for interval in node.history.intervals:
                expect(interval.start > last, "intervals overlap", node.name)
                last = interval.end
                first, end = max(interval.start, world.since), min(interval.end, newest)
                states, compared = world.compared.get((node.name, interval.start), (None, 0))
                if states is interval.states:
                    first = max(first, min(compared + 1, changed))
                for epoch in range(first, end + 1):
                    _check_states(world, node, epoch, interval.states)
                world.compared[node.name, interval.start] = (interval.states, end)


def _check_states(world: "World", node: Node, epoch: int, states: tuple[object, ...]) -> None:
    must = world.oracle.at(epoch)
    for asset, state in zip(node.plan.assets, states, strict=True):
        want = must.get((asset, node.key))
        if isinstance(state, Content):
            is_right = isinstance(want, Value) and Columns.of(want.columns) == state.columns
        elif state is Gone.DELETED:
            is_right = want is Mark.DELETED
        else:
            is_right = want in {Mark.FAILED, Mark.HELD}
        expect(is_right, "settled at what it is not", asset, node.key, epoch, state, want)


def check_rest(world: "World") -> None:  # noqa: C901, PLR0912 - one case after the other
    """Nothing is under way: every unit that nothing paused keeps back is what it must be."""
    epoch = world.planner.epoch
    must = world.oracle.at(epoch)
    looks = Looks(world.planner)
    kept_back = _behind_pauses(world)
    seen = set()
    for asset, key in looks.units():
        plan, output = world.planner.topology.assets[asset]
        node = world.planner.graph.get(plan, key)
        if node is None or node.born == NEVER:
            continue
        seen.add((asset, key))
        head = node.heads[output]
        if head is not None:
            found = Value(**head.columns)
            expect(world.heads.get((asset, key)) == found, "not the head", asset, key)
        if asset in kept_back:
            continue
        want = must.get((asset, key))
        states = node.history.at(epoch)
        view = looks.look(asset, key, world.now)
        state = view.state
        if isinstance(want, Value):
            right = states is not None and isinstance(states[output], Content)
            expect(right and not node.dirty, "not up to date", asset, key, want, states)
            expect(
                head is not None and head.columns == Columns.of(want.columns),
                "head",
                asset,
                key,
            )
            wanted = {"fresh"} if plan.source is None else {"fresh", "failed"}
        elif want is Mark.DELETED:
            expect(states is not None and states[output] is Gone.DELETED, "kept", asset, key)
            wanted = {"fresh"} if plan.source is None else {"fresh", "failed"}
        elif want in STUCK:
            right = states is None or not isinstance(states[output], Content)
            expect(right, "goes on though it is stuck", asset, key, want, states)
            wanted = {
                Mark.FAILED: {"failed"},
                Mark.BLOCKED: {"blocked"},
                Mark.MISSING: {"missing", "blocked"},
                Mark.HELD: {"failed", "fresh", "blocked"},
            }[want]
        else:
            raise Found(f"a unit that does not exist: {asset}[{key}]")
        trouble = node.trouble
        stuck = want in {Mark.BLOCKED, Mark.MISSING}
        if stuck and trouble is not None and trouble.final:
            wanted = {"failed", "blocked", "missing"}
        if want is Mark.BLOCKED and node.missing:
            wanted = {"missing", "blocked"}
        if stuck and head is not None and [r.kind for r in view.reasons] == ["deleted"]:
            # All that it, or what it reads, was made of is deleted: it is left as it is.
            wanted = {"fresh"}
        expect(state in wanted, "its state is", asset, key, state, want)
    for unit in must:
        expect(unit in seen, "a unit is left out", unit)
    for function in world.spec.functions:
        if function.is_root and not kept_back.intersection(function.outputs):
            _check_policy(world, function, epoch)
    pending = {seq for seq, times in world.tally.consumed.items() if not times}
    waiting = {
        seq
        for nodes in world.planner.graph.nodes.values()
        for node in nodes.values()
        for seq, _ in node.pending or ()
        if node.paused
    }
    expect(pending <= waiting, "arrivals were never read", pending - waiting)


def _check_policy(world: "World", function: FunctionSpec, epoch: int) -> None:
    """No unit is left behind that its policy must let run."""
    for key in world.oracle.natural_keys(function, epoch):
        if not world.oracle.can_exist(function, key, epoch):
            continue
        reads = world.oracle.cut(function, key, epoch)
        if isinstance(reads, Mark):
            continue
        states = world.oracle.at(epoch)
        unit = (function.name, key)
        if function.refresh == "freshness":
            good = [
                make(o, key, world.oracle.code_at(function.name, epoch), reads)
                for o in function.outputs
            ]
            found = [states.get((out, key)) for out in function.outputs]
            expect(
                all(f in {g, Mark.FAILED} for f, g in zip(found, good, strict=True)),
                "it is not fresh",
                unit,
            )
        elif function.refresh in {"all_new", "any_new"}:
            new = _new_inputs(world, function, key, epoch)
            names = set(function.named)
            wanted = names <= new if function.refresh == "all_new" else bool(names & new)
            failed = Mark.FAILED in {states.get((out, key)) for out in function.outputs}
            expect(not wanted or failed, "its condition holds", unit, new)


def _new_inputs(world: "World", function: FunctionSpec, key: str, epoch: int) -> set[str]:
    """Which inputs have other contents than the unit was last made of."""
    ran = world.oracle.ran.get((function.name, key), [])
    return {
        read.asset
        for read in function.reads
        if (now := _contents(world, function, read, key, epoch))
        != (_contents(world, function, read, key, ran[-1]) if ran else {})
        and now
    }


def _contents(
    world: "World", function: FunctionSpec, read: Read, key: str, epoch: int
) -> dict[str, Value]:
    states = world.oracle.at(epoch)
    own = world.oracle.is_own(function, read)
    return {
        each: state
        for (asset, each), state in states.items()
        if asset == read.asset
        and isinstance(state, Value)
        and (not own or each == (key if read.own else ""))
    }


def check_condition(world: "World", node: Node, tick: Ticked) -> None:
    """A condition that lets a unit run holds."""
    function = world.functions[node.plan.name]
    if function.refresh not in {"all_new", "any_new"}:
        return
    units = [(out, node.key) for out in function.outputs]
    ran = [
        at
        for at in world.oracle.ran.get(node.name, [])
        if at < tick.epoch and Mark.FAILED not in {world.oracle.at(at).get(unit) for unit in units}
    ]
    new = {
        read.asset
        for read in function.reads
        if not ran
        or Mark.DELETED in {world.oracle.at(ran[-1]).get(unit) for unit in units}
        or any(
            # It held when it was looked at; what is committed with the tick came later.
            _contents(world, function, read, node.key, at)
            != _contents(world, function, read, node.key, ran[-1])
            for at in (tick.epoch - 1, tick.epoch)
        )
    }
    names = set(function.named)
    holds = names <= new if function.refresh == "all_new" else bool(names & new)
    expect(holds, "its condition does not hold", node.name, tick.epoch, new)


def _behind_pauses(world: "World") -> set[str]:
    names = {name for name, _ in world.paused}
    for function in world.spec.functions:
        reads = {read.asset for read in function.reads}
        if reads & names or set(function.outputs) & names:
            names |= set(function.outputs)
    return names
