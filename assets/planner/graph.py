"""All nodes of a generation: who reads whom, and which units are not settled."""

from collections.abc import Iterator
from heapq import heappop, heappush

from msgspec import Struct, field

from afresh.assets.planner.content import OPEN, Gone
from afresh.assets.planner.nodes import NEVER, Node
from afresh.assets.planner.slim import Slim
from afresh.assets.planner.topology import Edge, Plan, Topology


class Pool(Struct):
    """The units of one asset that are not settled at the newest epoch.

    `unsettled` maps each to the last epoch up to which it is settled without doubt, `heap` finds
    the smallest of these.
    """

    unsettled: dict[Node, int] = field(default_factory=dict)
    heap: list[tuple[int, int, Node]] = field(default_factory=list)
    pushed: int = 0

    def put(self, node: Node, clear: int) -> None:
        """Note up to where the node is settled."""
        if self.unsettled.get(node) != clear:
            self.unsettled[node] = clear
            self.pushed += 1
            heappush(self.heap, (clear, self.pushed, node))

    def first(self) -> tuple[int, Node | None]:
        """The smallest such epoch, and whose it is; OPEN if all units are settled."""
        while self.heap:
            clear, _, node = self.heap[0]
            if self.unsettled.get(node) == clear:
                return clear, node
            heappop(self.heap)
        return OPEN, None


class Graph:
    """The nodes. Nothing here walks more than what is asked for.

    `epoch` is the newest one that was committed. `pools` has those of the assets that are not
    settled: at rest there are none.
    """

    def __init__(self, topology: Topology, epoch: int = 0) -> None:
        self.topology = topology
        self.epoch = epoch
        self.nodes: dict[str, Slim[Node]] = {name: Slim() for name in topology.plans}
        self.paused: set[str] = set()
        self.stopped: dict[str, str] = {}
        """Functions that were stopped because they would not end by themselves, and why."""
        self.pools: dict[str, Pool] = {}
        self._newest_starts: dict[str, int] = {}

    def get(self, plan: Plan, key: str) -> Node | None:
        """The node of a plan at a key, if there is one."""
        return self.nodes[plan.name].get(key)

    def add(self, node: Node) -> Node:
        """Take in a new node."""
        count = len(node.plan.assets)
        node.heads = node.heads or [None] * count
        node.numbers = node.numbers or [0] * count
        node.by_fingerprint = node.by_fingerprint or tuple(Slim() for _ in range(count))
        node.paused = node.plan.suspended or not self.paused.isdisjoint(node.plan.assets)
        self.nodes[node.plan.name][node.key] = node
        return node

    def refresh(self, node: Node) -> None:
        """Keep the pools of its assets true after its history changed."""
        if node.born == NEVER:
            return
        intervals = node.history.intervals
        for output, asset in enumerate(node.plan.assets):
            clear = node.history.floor(OPEN, output) or node.born - 1
            if intervals and intervals[-1].start > self.newest_start(asset):
                self._newest_starts[asset] = intervals[-1].start
            pool = self.pools.get(asset)
            if clear < OPEN:
                if pool is None:
                    pool = self.pools[asset] = Pool()
                pool.put(node, clear)
            elif pool is not None:
                pool.unsettled.pop(node, None)
                if not pool.unsettled:
                    del self.pools[asset]

    def newest_start(self, asset: str) -> int:
        """The newest epoch at which any unit of an asset was settled: below it may be gaps."""
        return self._newest_starts.get(asset, 0)

    def producers(self, node: Node, edge: Edge) -> Iterator[Node]:
        """The nodes that an edge reads, in key order."""
        nodes = self.nodes[edge.producer.name]
        if edge.own:
            found = nodes.get(node.key)
            if found is not None:
                yield found
            return
        for key in sorted(nodes):
            yield nodes[key]

    def unsettled(self, node: Node, edge: Edge) -> Iterator[Node]:
        """The nodes that an edge reads and that are not settled at the newest epoch."""
        pool = self.pools.get(edge.asset)
        if pool is None:
            return
        if edge.own:
            found = self.nodes[edge.producer.name].get(node.key)
            if found is not None and found in pool.unsettled:
                yield found
            return
        yield from list(pool.unsettled)

    def readers(self, node: Node) -> Iterator[Node]:
        """The nodes that read a node, by any edge."""
        for plan, edge in node.plan.readers:
            nodes = self.nodes[plan.name]
            if edge.own:
                found = nodes.get(node.key)
                if found is not None:
                    yield found
            else:
                yield from nodes.values()

    def floor(self, node: Node, edge: Edge, epoch: int) -> tuple[int, Node | None]:
        """The newest epoch up to `epoch` at which an input is settled, and who keeps it there.

        The epoch is 0 if there is none.
        """
        if edge.own:
            found = self.nodes[edge.producer.name].get(node.key)
            if found is None:
                return 0, None
            return found.history.floor(epoch, edge.output), found
        pool, newest_start = self.pools.get(edge.asset), self.newest_start(edge.asset)
        clear, who = pool.first() if pool is not None else (OPEN, None)
        if clear >= epoch >= newest_start:
            return epoch, None
        newest = min(epoch, clear)
        return (newest if newest >= newest_start else 0), who

    def common_epoch(self, node: Node, epoch: int) -> tuple[int, list[Node]]:
        """The newest epoch at which all inputs are known to be settled, and who keeps it there."""
        limits: list[Node] = []
        changed = True
        while changed and epoch:
            changed = False
            for edge in node.plan.inputs:
                newest, who = self.floor(node, edge, epoch)
                if newest < epoch:
                    epoch, changed = newest, True
                    if who is not None:
                        limits.append(who)
        return epoch, limits

    def absent(self, node: Node) -> str:
        """An own input that has never had a version, as a reference; empty if all have."""
        for edge in node.plan.inputs:
            if edge.own:
                found = self.nodes[edge.producer.name].get(node.key)
                if found is None or found.born == NEVER:
                    return edge.asset + (f"[{node.key}]" if node.key else "")
        return ""

    def is_deleted(self, node: Node, output: int) -> bool:
        """Whether a unit is a tombstone, or was never born and would be one if it was."""
        stack, seen = [(node, output)], {node}
        while stack:
            unit, position = stack.pop()
            if unit.born != NEVER:
                states = unit.history.latest
                if states is not None and states[position] is Gone.DELETED:
                    return True
                continue
            for edge in unit.plan.inputs:
                found = self.nodes[edge.producer.name].get(unit.key) if edge.own else None
                if found is not None and found not in seen:
                    seen.add(found)
                    stack.append((found, edge.output))
        return False

    def first_unsettled(self, node: Node, epoch: int) -> Node | None:
        """A unit that the node reads and that is not settled at exactly that epoch."""
        for edge in node.plan.inputs:
            for found in self.unsettled(node, edge):
                if found.born <= epoch and not settled(found, edge.output, epoch):
                    return found
        return None


def settled(node: Node, output: int, epoch: int) -> bool:
    """Whether readers of that output can go on as of that epoch."""
    states = node.history.at(epoch)
    return states is not None and states[output] is not Gone.HELD
