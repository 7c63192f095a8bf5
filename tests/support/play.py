"""Scripts of numbers, played."""

from typing import TYPE_CHECKING

from support.finding import expect
from support.oracle import (
    FunctionSpec,
    Unit,
    Value,
)
from support.scripts import Numbers

if TYPE_CHECKING:
    from support.simulator import World


KEYS = ("k0", "k1", "k2")


def play(world: "World", script: list[Numbers]) -> None:
    """Do what a script says; whatever numbers are in it."""
    for numbers in script:
        act(world, *numbers)
    world.drain()
    world.check_rest()
    world.resume_all()
    world.flaky = 0.0
    world.drain()
    world.check_rest()
    started = len(world.tally.attempts)
    if world.durable and world.restarts < world.most_restarts:
        world.restart()
        world.drain()
        world.check_rest()
        again = [a.node.name for a in world.tally.attempts[started:]]
        expect(not again, "a restart at rest runs something", again)


def act(world: "World", *numbers: int) -> None:  # noqa: C901, PLR0912 - a table of actions
    op, x, y, z, wait, more = numbers
    source = world.spec.sources[x % len(world.spec.sources)]
    key = KEYS[y % 3] if source.partitioned else ""
    function = world.spec.functions[x % len(world.spec.functions)]
    unit = (source.name, key)
    value = Value(str(z % 5), str(z % 2))
    world.flaky = 0.3 if more % 4 == 0 else 0.0
    match op % 16:
        case 0 | 1 | 2 | 3 | 4:
            world.arrive((*unit, value))
        case 5:
            keys = KEYS if source.partitioned else ("",)
            world.arrive(*[(source.name, k, Value(f"{z}{k}", str(z % 2))) for k in keys])
        case 6:
            world.arrive((*unit, None))
        case 7:
            if unit in world.files:
                world.arrive((*unit, None), deleted=True)
        case 8:
            world.pause(function.name, "*")
        case 9:
            world.pause(source.name, "*")
        case 10 | 11:
            for name, each in sorted(world.paused)[:1]:
                world.pause(name, each, on=False)
        case 12:
            world.request(*_units(world, function), force=z % 2 == 0)
        case 13:
            world.restart()
        case 14:
            world.reload(function.name if z % 3 else "")
        case 15:
            world.advance(3.0)
    if function.refresh == "cron" and y % 3 != 0:
        world.tick(function.name)
    world.advance((0.0, 0.0, 0.005, 0.1, 0.5, 2.0)[wait % 6])


def _units(world: "World", function: FunctionSpec) -> list[Unit]:
    nodes = world.planner.graph.nodes[function.name]
    return [(function.name, key) for key in sorted(nodes)]
