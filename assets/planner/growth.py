"""Which units an asset has: one belongs to it once all its own inputs exist."""

from afresh.assets.planner.graph import Graph
from afresh.assets.planner.nodes import NEVER, Node


def add_units(graph: Graph, node: Node, epoch: int) -> None:
    """A unit exists as of `epoch` for the first time: so do those that are named after it."""
    stack = [node]
    while stack:
        found = stack.pop()
        for plan, edge in found.plan.readers:
            if not edge.own or not plan.partitioned:
                continue
            reader = graph.get(plan, found.key)
            if reader is None:
                reader = graph.add(Node(plan, found.key, NEVER))
            own = [graph.get(item.producer, found.key) for item in plan.named]
            absent = [
                f"{item.asset}[{found.key}]"
                for item, unit in zip(plan.named, own, strict=True)
                if unit is None or unit.born == NEVER
            ]
            if absent:
                reader.missing = absent[0]
            elif plan.root:
                # It belongs to its asset once its policy has let it run.
                reader.missing = ""
            elif reader.born == NEVER:
                reader.born, reader.missing = epoch, ""
                graph.refresh(reader)
                stack.append(reader)
