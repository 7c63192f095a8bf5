"""P1 to P7 as far as the planner keeps them: random graphs and whatever can happen to them.

The simulator compares every cut (P3), run (P4), reason (P5), head (P6) and settled interval with
the oracle while it plays, and the whole graph when it has come to rest.
"""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given

from support.examples import times
from support.oracle import FunctionSpec, GraphSpec, Read, SourceSpec, Value
from support.scripts import CASES, Numbers, build_graph, random_case
from support.simulator import World


@given(**CASES)
@times(1.5)
def test_whatever_happens_all_is_what_the_oracle_says(
    sources: list[Numbers],
    functions: list[Numbers],
    script: list[Numbers],
    seed: int,
    workers: int,
) -> None:
    graph = build_graph(sources, functions)
    World(graph, Random(seed), workers=workers, durable=False).play(script)


@given(**CASES)
@times(0.6)
def test_restarts_and_new_code_lose_and_double_nothing(
    sources: list[Numbers],
    functions: list[Numbers],
    script: list[Numbers],
    seed: int,
    workers: int,
) -> None:
    graph = build_graph(sources, functions)
    World(graph, Random(seed), workers=workers).play(script)


@pytest.mark.parametrize("seed", [27, 29, 67, 76, 241, 287, 340, 383, 472, 602, 719, 731, 784, 851])
@pytest.mark.parametrize("durable", [False, True])
def test_cases_that_once_went_wrong(seed: int, durable: bool) -> None:
    random = Random(seed)
    graph, script = random_case(random)
    World(graph, random, durable=durable, workers=1 + seed % 4).play(script)


STREAM = GraphSpec(
    (SourceSpec("s"),),
    (
        FunctionSpec(("fast",), (Read("s", own=True),), partitioned=True),
        FunctionSpec(("slow",), (Read("s", own=True),), partitioned=True),
        FunctionSpec(("slower",), (Read("slow"),)),
        FunctionSpec(("join",), (Read("fast", own=True), Read("slow", own=True)), partitioned=True),
        FunctionSpec(("top",), (Read("fast"), Read("slower"))),
    ),
)
SECONDS = {"s": 0.01, "fast": 0.02, "slow": 1.7, "slower": 0.9, "join": 0.05, "top": 0.05}
MAX_WAIT = 1.0


@pytest.mark.parametrize("every", [0.05, 0.3, 1.1])
def test_no_join_starves_under_a_steady_stream(every: float) -> None:
    world = World(
        STREAM, Random(1), workers=1000, durable=False, seconds=SECONDS, max_wait=MAX_WAIT
    )
    for i in range(int(60 / every)):
        world.arrive(("s", f"k{i % 3}", Value(str(i), str(i % 2))))
        world.advance(every)
    slowest = SECONDS["s"] + SECONDS["slow"] + SECONDS["slower"] + SECONDS["top"]
    for unit in [("join", "k0"), ("join", "k1"), ("top", "")]:
        at = [at for at, _ in world.tally.heads[unit]]
        gaps = [after - before for before, after in pairwise(at)]
        assert max(gaps) <= MAX_WAIT + 3 * slowest, unit
        assert at[-1] >= 60 - MAX_WAIT - 3 * slowest, unit
    world.drain()
    world.check_rest()


def test_burst_makes_a_handful_of_runs() -> None:
    world = World(STREAM, Random(1), workers=2, durable=False, seconds=dict.fromkeys(SECONDS, 0.01))
    for i in range(100):
        world.arrive(("s", f"k{i:03}", Value(str(i), "0")))
    world.drain()
    world.check_rest()
    assert len(world.tally.runs("fast")) == 100
    assert len(world.tally.runs("top")) <= 5
    assert len(world.tally.runs("slower")) <= 5


def test_a_single_arrival_waits_for_nothing() -> None:
    world = World(STREAM, Random(1), workers=2, durable=False, seconds=dict.fromkeys(SECONDS, 0.01))
    world.arrive(("s", "k0", Value("1", "0")))
    world.drain()
    assert world.now < 0.1
