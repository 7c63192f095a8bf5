from afresh.assets.graph import Graph, reach
from support.manifests import a_function, a_manifest, a_source


def test_edges_both_ways() -> None:
    graph = Graph(a_manifest(a_source("a"), a_function("b|c", "a"), a_function("d", "b", "c", "a")))
    assert graph.assets == ("a", "b", "c", "d")
    assert graph.up == {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c", "a")}
    assert graph.down == {"a": ("b", "c", "d"), "b": ("d",), "c": ("d",), "d": ()}
    assert graph.order() == ["a", "b", "c", "d"]
    assert graph.cycles() == []


def test_unknown_dependencies_are_left_out() -> None:
    graph = Graph(a_manifest(a_function("b", "nowhere")))
    assert graph.up == {"b": ()}
    assert "nowhere" not in graph


def test_reach_counts_steps() -> None:
    chain = Graph(a_manifest(a_source("a"), *(a_function(y, x) for x, y in ("ab", "bc", "cd"))))
    assert chain.reach("d", chain.up, None) == {"a", "b", "c", "d"}
    assert chain.reach("d", chain.up, 1) == {"c", "d"}
    assert chain.reach("a", chain.down, 0) == {"a"}
    assert reach([], lambda x: [x], None) == set()


def test_a_cycle_is_named_in_the_order_of_the_data() -> None:
    graph = Graph(
        a_manifest(
            a_source("s"),
            a_function("a", "c", "s"),
            a_function("b", "a"),
            a_function("c", "b"),
            a_function("after", "c"),
        )
    )
    assert graph.cycles() == [(("a", "b", "c"), ())]
    assert graph.order() == ["s"]


def test_each_knot_is_told_with_its_other_members() -> None:
    graph = Graph(
        a_manifest(
            a_function("a", "b", "x"),
            a_function("b", "a"),
            a_function("x", "b"),
            a_function("me", "me", "b"),
        )
    )
    assert sorted(graph.cycles()) == [(("a", "b"), ("x",)), (("me",), ())]


def test_long_chains_need_no_recursion() -> None:
    size = 5000
    chain = [a_function(f"n{i}", f"n{(i + 1) % size}") for i in range(size)]
    ((cycle, others),) = Graph(a_manifest(*chain)).cycles()
    assert len(cycle) == size
    assert others == ()
