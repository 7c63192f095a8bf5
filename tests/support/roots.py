"""What policies let run, as the oracle is to be told of it."""

from typing import TYPE_CHECKING

from afresh.assets.planner.changes import Ticked
from afresh.assets.planner.nodes import Node
from support.finding import expect
from support.oracle import (
    FunctionSpec,
    Unit,
)

if TYPE_CHECKING:
    from support.simulator import World


def let_run_again(world: "World") -> None:
    """What was let run before a new planner came is let run by it too."""
    for function in world.spec.functions:
        if not function.is_root:
            continue
        for node in world.planner.graph.nodes[function.name].values():
            tick = world.planner.policies.releases.cause(node)
            if tick is not None:
                release(world, node, tick)


def expect_asked(world: "World", units: tuple[Unit, ...], epoch: int) -> None:
    """Let run what is asked for and all that is above it, upstream first."""
    wanted: dict[str, set[str | None]] = {}
    stack: list[tuple[str, str | None]] = [*units]
    makers = {out: each.name for each in world.spec.functions for out in each.outputs}
    while stack:
        asset, key = stack.pop()
        name = makers.get(asset)
        if name is None or key in wanted.setdefault(name, set()):
            continue
        wanted[name].add(key)
        for read in world.functions[name].reads:
            own = world.oracle.is_own(world.functions[name], read)
            stack.append((read.asset, (key if read.own else "") if own else None))
    for function in world.spec.functions:
        keys = wanted.get(function.name, set())
        if not function.is_root or not keys:
            continue
        for key in world.oracle.natural_keys(function, epoch):
            if key in keys or None in keys:
                _expect_run(world, function, key, epoch)


def release(world: "World", node: Node, tick: Ticked) -> None:
    if tick.epoch not in world.oracle.let_run.get(node.name, []):
        world.oracle.release(tick.epoch, node.name)


def expect_tick(world: "World", name: str, epoch: int) -> None:
    """A schedule's tick lets run all that would be other than it is."""
    function = world.functions[name]
    for key in world.oracle.natural_keys(function, epoch):
        if not _is_paused(world, function, key):
            _expect_run(world, function, key, epoch)


def _expect_run(world: "World", function: FunctionSpec, key: str, epoch: int) -> None:
    if not world.oracle.can_exist(function, key, epoch):
        return
    node = world.planner.graph.nodes[function.name].get(key)
    if node is None or not node.dirty:
        behind = world.oracle.is_behind(function, key, epoch)
    else:
        # What waits for a place, or runs, takes what came before.
        running = node.running.epoch if node.running is not None else 0
        taken = max(running, node.dirty[-1])
        made = [world.oracle.evaluate(function, key, at) for at in (taken, epoch)]
        behind = made[0] != made[1]
    if behind:
        world.oracle.release(epoch, (function.name, key))


def _is_paused(world: "World", function: FunctionSpec, key: str) -> bool:
    node = world.planner.graph.nodes[function.name].get(key)
    return node is not None and node.paused


def note_roots(world: "World") -> None:
    """Tell the oracle as of which epoch a root is what it is now: only where it was let run."""
    for function in world.spec.functions:
        if not function.is_root:
            continue
        for node in world.planner.graph.nodes[function.name].values():
            unit = (function.name, node.key)
            starts = {interval.start for interval in node.history.intervals}
            for epoch in sorted(starts | {node.epoch}):
                _note_root(world, unit, epoch)


def _note_root(world: "World", unit: Unit, epoch: int) -> None:
    ran = world.oracle.ran.get(unit, [0])[-1]
    if epoch <= ran:
        return
    released = world.oracle.let_run.get(unit, [])
    granted = any(ran < at <= epoch for at in released)
    expect(granted, "it changed though nothing let it run", unit, epoch, released, ran)
    world.oracle.settle(epoch, unit)
