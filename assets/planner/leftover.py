"""What is left of units that were all deleted: nothing runs, and the last good version stays."""

from afresh.assets.planner.graph import Graph
from afresh.assets.planner.nodes import Node
from afresh.assets.planner.reasons import made_since


def is_left_by_deletion(graph: Graph, node: Node) -> bool:
    """Whether all that a unit would be made from is deleted, and nothing else has changed.

    So of what reads it, as long as that has no other news.
    """
    stack, seen = [node], {node}
    while stack:
        at = stack.pop()
        if at.running is not None or at.trouble is not None or at.paused:
            return False
        if at.missing and _reads_deleted(graph, at):
            continue
        if not at.watching or _has_news(graph, at):
            return False
        above = [unit for unit in at.watching if unit not in seen]
        seen.update(above)
        stack += above
    return True


def _reads_deleted(graph: Graph, node: Node) -> bool:
    """Whether there were units of an input that is read whole, and all are deleted."""
    for edge in node.plan.inputs:
        units = graph.nodes[edge.producer.name]
        gone = bool(units) and all(graph.is_deleted(unit, edge.output) for unit in units.values())
        if gone and not edge.own:
            return True
    return False


def _has_news(graph: Graph, node: Node) -> bool:
    """Whether there is a version now that the head was not made of."""
    head = node.heads[0]
    for edge in node.plan.inputs:
        read = node.last_read.get(edge.parameter)
        before = dict(read) if read is not None else None
        for unit in graph.producers(node, edge):
            part = unit.heads[edge.output]
            if part is None:
                continue
            if before is not None:
                if before.get(unit.key) != part.version:
                    return True
            elif head is None or made_since(head, part):
                return True
    return False
