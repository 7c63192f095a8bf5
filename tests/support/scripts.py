"""Random graphs and what happens to them, of small numbers so that Hypothesis can shrink them."""

from random import Random
from typing import Literal

from hypothesis import strategies as st

from support.oracle import FunctionSpec, GraphSpec, Read, Refresh, SourceSpec

Numbers = tuple[int, ...]
ON_DELETE: tuple[Literal["keep", "propagate", "fail"], ...] = ("keep", "propagate", "fail")
FAILS: tuple[Literal["never", "raises", "rejects"], ...] = ("never", "never", "raises", "rejects")
WIDTH = 6
"""How many numbers make a source, a function or an action."""
NUMBERS = st.tuples(*[st.integers(0, 63)] * WIDTH)
CASES = {
    "sources": st.lists(NUMBERS, min_size=1, max_size=3),
    "functions": st.lists(NUMBERS, min_size=1, max_size=7),
    "script": st.lists(NUMBERS, min_size=1, max_size=35),
    "seed": st.integers(0, 1000),
    "workers": st.integers(1, 4),
}
"""A graph, a script, and who plays it: what `random_case` draws, for Hypothesis."""


REFRESH: tuple[Refresh, ...] = (
    "eager",
    "eager",
    "debounce",
    "manual",
    "cron",
    "freshness",
    "all_new",
    "any_new",
)


def build_graph(
    sources: list[Numbers], functions: list[Numbers], *, policies: bool = False
) -> GraphSpec:
    """Any numbers make a graph."""
    declared = tuple(
        SourceSpec(f"s{i}", n[0] % 4 != 0, ON_DELETE[n[1] % 3], ("keep", "hold")[n[2] % 4 == 3])
        for i, n in enumerate(sources)
    )
    made: list[FunctionSpec] = []
    partitioned = {source.name: source.partitioned for source in declared}
    for i, n in enumerate(functions):
        assets = sorted(partitioned)
        # Late ones are read more often, so that graphs are deep.
        picks = {assets[-1 - n[j] % min(len(assets), 3 + j)] for j in range(1 + n[3] % 3)}
        inputs = sorted(picks)
        named = [name for name in inputs if partitioned[name]]
        own = named[: 1 + n[4] % 2] if named and n[4] % 3 else []
        reads = tuple(
            Read(name, name in own, ("b",) if (n[5] + j) % 4 == 0 else ())
            for j, name in enumerate(inputs)
        )
        outputs = (f"f{i}", f"f{i}x") if n[5] % 5 == 4 else (f"f{i}",)
        spec = FunctionSpec(
            outputs,
            reads,
            bool(own),
            FAILS[n[0] % 4],
            1 + n[1] % 3,
            REFRESH[n[1] // 8] if policies else "eager",
            tuple(inputs[: 1 + n[2] % 3]),
        )
        made.append(spec)
        partitioned |= dict.fromkeys(outputs, bool(own))
    return GraphSpec(declared, tuple(made))


def random_numbers(random: Random, count: int) -> list[Numbers]:
    """So many sources, functions or actions."""
    return [tuple(random.randrange(64) for _ in range(WIDTH)) for _ in range(count)]


def random_case(random: Random, *, policies: bool = False) -> tuple[GraphSpec, list[Numbers]]:
    """A graph and a script."""
    graph = build_graph(
        random_numbers(random, 1 + random.randrange(3)),
        random_numbers(random, 1 + random.randrange(7)),
        policies=policies,
    )
    return graph, random_numbers(random, 5 + random.randrange(30))
