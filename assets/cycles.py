"""Cycles of a directed graph, named so that people can follow them."""

from collections.abc import Iterator, Mapping, Sequence

Edges = Mapping[str, Sequence[str]]


def cycles(edges: Edges) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Give each knot (nodes that reach each other): a shortest cycle, and the other members."""
    for knot in _knots(edges):
        members = frozenset(knot)
        if len(knot) > 1 or knot[0] in edges[knot[0]]:
            cycle = _shortest(min(knot), members, edges)
            yield cycle, tuple(sorted(members.difference(cycle)))


def _knots(edges: Edges) -> Iterator[list[str]]:
    """Find strongly connected components (Tarjan), without recursion: chains may be long."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        while work:
            node, following = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
            for other in following:
                if other not in index:
                    work.append((other, iter(edges[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    yield _cut(stack, on_stack, node)


def _cut(stack: list[str], on_stack: set[str], node: str) -> list[str]:
    at = stack.index(node)
    knot = stack[at:]
    del stack[at:]
    on_stack.difference_update(knot)
    return knot


def _shortest(start: str, members: frozenset[str], edges: Edges) -> tuple[str, ...]:
    """Search breadth first for the way from `start` back to itself within the knot."""
    came_from: dict[str, str] = {}
    edge = [start]
    while start not in came_from:
        found = []
        for node in edge:
            for other in edges[node]:
                if other in members and other not in came_from:
                    came_from[other] = node
                    found.append(other)
        edge = found
    back = []
    node = came_from[start]
    while node != start:
        back.append(node)
        node = came_from[node]
    return (start, *reversed(back))
