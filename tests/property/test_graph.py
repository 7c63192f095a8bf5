"""Cycles are found exactly where there are some."""

from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.graph import Graph
from support.manifests import a_function, a_manifest

graphs = st.integers(1, 8).flatmap(
    lambda n: st.lists(st.sets(st.integers(0, n - 1), max_size=3), min_size=n, max_size=n)
)


@given(graphs)
def test_cycles_are_cycles_and_none_is_missed(reads: list[set[int]]) -> None:
    graph = Graph(
        a_manifest(*(a_function(f"n{i}", *(f"n{j}" for j in js)) for i, js in enumerate(reads)))
    )
    knotted = {
        a for a in graph.assets if any(a in graph.reach(u, graph.up, None) for u in graph.up[a])
    }
    told = set()
    for cycle, others in graph.cycles():
        told |= {*cycle, *others}
        for made, read in zip((*cycle[1:], cycle[0]), cycle, strict=True):
            assert read in graph.up[made]
    assert told == knotted


@given(graphs)
def test_the_order_respects_every_edge(reads: list[set[int]]) -> None:
    graph = Graph(
        a_manifest(*(a_function(f"n{i}", *(f"n{j}" for j in js)) for i, js in enumerate(reads)))
    )
    order = graph.order()
    assert all(order.index(u) < order.index(a) for a in order for u in graph.up[a])
