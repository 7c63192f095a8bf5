"""Refresh policies: whatever happens, what is left behind is left by its policy, and nothing else.

The same worlds as of the planner's own properties, with policies: the oracle knows what let each
unit run, and is told of nothing that did not.
"""

from random import Random

import pytest
from hypothesis import given

from support.examples import times
from support.oracle import FunctionSpec, GraphSpec, Read, Refresh, SourceSpec, Value
from support.scripts import CASES, Numbers, build_graph, random_case
from support.simulator import World


@given(**CASES)
@times(1.5)
def test_whatever_happens_units_are_what_their_policies_make_of_them(
    sources: list[Numbers],
    functions: list[Numbers],
    script: list[Numbers],
    seed: int,
    workers: int,
) -> None:
    graph = build_graph(sources, functions, policies=True)
    World(graph, Random(seed), workers=workers, durable=seed % 2 == 0).play(script)


ONCE_WRONG = [
    24, 41, 86, 98, 113, 128, 145, 186, 216, 248, 279, 283, 317, 347, 353, 370, 381,
    405, 531, 846, 1017, 1063, 1321, 1350, 1510,
]  # fmt: skip


@pytest.mark.parametrize("seed", ONCE_WRONG)
@pytest.mark.parametrize("durable", [False, True])
def test_cases_that_once_went_wrong(seed: int, durable: bool) -> None:
    random = Random(seed)
    graph, script = random_case(random, policies=True)
    World(graph, random, durable=durable, workers=1 + seed % 4).play(script)


def make_world(refresh: Refresh, *, named: tuple[str, ...] = (), durable: bool = True) -> World:
    """Two sources, an asset of both with a policy, and one that reads it beside a source."""
    graph = GraphSpec(
        (SourceSpec("a", partitioned=False), SourceSpec("b", partitioned=False)),
        (
            FunctionSpec(("m",), (Read("a"), Read("b")), refresh=refresh, named=named),
            FunctionSpec(("top",), (Read("a"), Read("m"))),
        ),
    )
    return World(graph, Random(1), durable=durable, seconds={"m": 0.1, "top": 0.1, "a": 0, "b": 0})


def put(world: World, source: str, value: str) -> None:
    world.arrive((source, "", Value(value, value)))
    world.drain()


def test_manual_is_left_behind_and_holds_up_nobody() -> None:
    world = make_world("manual")
    put(world, "a", "1")
    put(world, "b", "1")
    assert not world.tally.runs("m")
    world.request(("m", ""))
    world.drain()
    put(world, "a", "2")
    assert len(world.tally.runs("m")) == 1
    assert len(world.tally.runs("top")) == 2
    world.request(("top", ""))
    world.drain()
    assert len(world.tally.runs("m")) == 2
    world.check_rest()


def test_what_was_asked_for_is_not_forgotten_by_a_restart() -> None:
    world = make_world("manual")
    put(world, "a", "1")
    put(world, "b", "1")
    world.request(("m", ""))
    assert len(world.tally.runs("m")) == 1
    world.restart()
    world.drain()
    assert [attempt.cause[0] for attempt in world.tally.runs("m")] == ["request", "request"]
    put(world, "a", "2")
    world.restart()
    world.drain()
    assert len(world.tally.runs("m")) == 2


def test_tick_runs_what_is_behind_once_and_is_its_cause() -> None:
    world = make_world("cron")
    put(world, "a", "1")
    put(world, "b", "1")
    for _ in range(3):
        world.tick("m")
        world.drain()
    (run,) = world.tally.runs("m")
    assert run.cause[0] == "tick"
    assert run.reasons[0] == "tick"
    for number in range(5):
        put(world, "a", str(number + 2))
    world.tick("m")
    world.drain()
    assert len(world.tally.runs("m")) == 2
    world.check_rest()


def test_tick_that_comes_during_a_run_is_not_lost() -> None:
    world = make_world("cron")
    put(world, "a", "1")
    put(world, "b", "1")
    world.tick("m")
    world.arrive(("a", "", Value("2", "2")))
    world.advance(0.05)
    world.tick("m")
    world.drain()
    assert len(world.tally.runs("m")) == 2
    world.check_rest()


def test_tick_while_paused_is_made_up_for() -> None:
    world = make_world("cron")
    put(world, "a", "1")
    put(world, "b", "1")
    world.pause("m")
    world.tick("m")
    world.tick("m")
    world.drain()
    assert not world.tally.runs("m")
    world.restart()
    world.drain()
    world.resume_all()
    world.drain()
    assert len(world.tally.runs("m")) == 1
    world.check_rest()


def test_freshness_is_met_with_few_runs() -> None:
    world = make_world("freshness")
    put(world, "b", "0")
    goal, begun = 2.0, world.now
    last: dict[str, float] = {}
    for number in range(200):
        value = str(number)
        last[value] = world.now
        world.arrive(("a", "", Value(value, value)))
        world.advance(0.1)
    world.drain()
    runs = world.tally.runs("m")
    took = world.now - begun
    assert took / goal <= len(runs) <= 1.5 * took / goal
    world.check_rest()
    ends = [at for at, _ in world.tally.heads["m", ""]]
    gaps = [after - before for before, after in zip([begun, *ends], ends, strict=False)]
    assert max(gaps) <= goal + 0.2


def test_all_new_waits_for_each_and_pairs_nothing() -> None:
    world = make_world("all_new", named=("a", "b"))
    put(world, "a", "1")
    assert not world.tally.runs("m")
    put(world, "b", "1")
    assert len(world.tally.runs("m")) == 1
    put(world, "a", "2")
    put(world, "a", "3")
    assert len(world.tally.runs("m")) == 1
    world.restart()
    world.drain()
    assert len(world.tally.runs("m")) == 1
    put(world, "b", "2")
    assert len(world.tally.runs("m")) == 2
    world.check_rest()


def test_any_new_of_one_input_ignores_the_other() -> None:
    world = make_world("any_new", named=("b",))
    put(world, "a", "1")
    put(world, "b", "1")
    put(world, "a", "2")
    assert len(world.tally.runs("m")) == 1
    put(world, "b", "2")
    assert len(world.tally.runs("m")) == 2
    world.check_rest()


@pytest.mark.parametrize(("every", "runs"), [(0.1, (9, 14)), (0.5, (19, 22))])
def test_debounce_waits_for_quiet_but_not_for_ever(every: float, runs: tuple[int, int]) -> None:
    """Quiet is 0.3 s, the longest wait 1 s, and 4 changes are enough."""
    world = make_world("debounce")
    put(world, "b", "0")
    for number in range(round(10 / every) if every == 0.5 else 50):
        world.arrive(("a", "", Value(str(number), str(number))))
        world.advance(every)
    world.drain()
    assert runs[0] <= len(world.tally.runs("m")) <= runs[1]
    world.check_rest()


def test_debounce_waits_anew_for_what_comes_during_a_run() -> None:
    """A change every 0.2 s, and 4 of them are enough: it does not run all the time."""
    world = make_world("debounce")
    put(world, "b", "0")
    world.seconds = {"m": 0.5, "top": 0.1, "a": 0, "b": 0}
    for number in range(50):
        world.arrive(("a", "", Value(str(number), str(number))))
        world.advance(0.2)
    world.drain()
    assert 11 <= len(world.tally.runs("m")) <= 16
    world.check_rest()


def test_debounce_counts_a_change_once_though_it_comes_by_two_ways() -> None:
    functions = (
        FunctionSpec(("x",), (Read("s"),)),
        FunctionSpec(("y",), (Read("s"),)),
        FunctionSpec(("d",), (Read("x"), Read("y")), refresh="debounce"),
    )
    spec = GraphSpec((SourceSpec("s", partitioned=False),), functions)
    world = World(spec, Random(1), seconds={})
    for number in range(2):
        world.arrive(("s", "", Value(str(number), "0")))
        world.advance(0.05)
    assert not world.tally.runs("d"), "2 changes and the definitions are not enough"
    world.drain()
    assert len(world.tally.runs("d")) == 1


def test_debounce_keeps_cuts_consistent() -> None:
    world = make_world("debounce")
    put(world, "a", "1")
    put(world, "b", "1")
    world.arrive(("a", "", Value("2", "2")))
    world.drain()
    for attempt in world.tally.runs("top"):
        versions = {item.edge.asset: item.parts[0][1].version for item in attempt.pinned}
        assert versions["a"] == versions["m"]
