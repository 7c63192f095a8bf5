"""Why a unit has to run: what differs from what its head was made of (P5)."""

from collections.abc import Sequence

from msgspec import Struct

from afresh.assets.partition import format_ref
from afresh.assets.planner.content import Content, Gone
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.nodes import Node, Pinned
from afresh.assets.planner.topology import same_code

MOST_NAMED = 3


class Why(Struct, frozen=True):
    """Why a run has to be: sentences, the kind and event of the first cause, and all its events."""

    reasons: tuple[str, ...]
    kind: str
    event: int | None
    events: tuple[int, ...]


def explain(graph: Graph, node: Node, pinned: tuple[Pinned, ...]) -> Why:
    """Compare what a run would read with what the head was made of."""
    head = node.heads[0]
    reasons: list[str] = []
    events: set[int] = set()
    deletions: set[int] = set()
    for item in pinned:
        changed = _changed(node, item)
        events.update(part.event for _, part in changed if part.event is not None)
        reasons += _name(item, [(key, part.version) for key, part in changed], "new")
        gone = _gone(graph, node, item)
        deletions.update(event for event in gone.values() if event is not None)
        reasons += _name(item, [(key, None) for key in gone], "gone")
    events |= deletions
    first = min(events, default=None)
    if node.requested and node.requested_event is not None:
        return Why(
            ("requested by hand", *reasons), "request", node.requested_event, tuple(sorted(events))
        )
    if head is None:
        reasons.insert(0, "it has no version yet")
    elif head.code != node.plan.code:
        same = same_code(head.code, node.plan.code)
        reasons.insert(0, "its parameters changed" if same else "its code changed")
    elif first is None and not reasons and _is_declared_since(node, head):
        reasons.append("its parameters changed")
    if _is_by_declaration(node, events, reasons):
        return Why(tuple(reasons), "code", node.code_event, tuple(sorted(events)))
    if first is None:
        newest = [part.event for item in pinned for _, part in item.parts if part.event is not None]
        first = max(newest, default=None)
        reasons = reasons or ["its parameters changed, or a unit that it read is gone"]
    kind = "deleted" if first in deletions else "arrived"
    return Why(tuple(reasons), kind, first, tuple(sorted(events)))


def _name(item: Pinned, units: Sequence[tuple[str, int | None]], what: str) -> list[str]:
    """Say of units of an input what they are, of the first few one by one."""
    asset, more = item.edge.asset, len(units) - MOST_NAMED
    told = [f"{format_ref(asset, *unit)} is {what}" for unit in units[:MOST_NAMED]]
    return told + ([f"{more} more units of {asset} are {what}"] if more > 0 else [])


def _is_by_declaration(node: Node, events: set[int], reasons: list[str]) -> bool:
    """Whether what it reads was all there: it runs because of how it is declared now."""
    if not events:
        return bool(reasons) and reasons[0] in _DECLARED
    declared = node.code_event
    return node.heads[0] is None and declared is not None and declared >= max(events)


_DECLARED = frozenset({"its code changed", "its parameters changed"})


def _is_declared_since(node: Node, head: Content) -> bool:
    """Whether definitions came into force after what its head was made because of."""
    before, since = head.event, node.code_event
    return before is not None and since is not None and since > before


def _changed(node: Node, item: Pinned) -> list[tuple[str, Content]]:
    """The parts that the head was not made of.

    After a restart, of many units, those that were made later, for a later event.
    """
    read = node.last_read.get(item.edge.parameter)
    if read is not None:
        before = dict(read)
        return [(key, part) for key, part in item.parts if before.get(key) != part.version]
    head = node.heads[0]
    if head is None:
        return [(key, part) for key, part in item.parts if part.event is not None]
    return [(key, part) for key, part in item.parts if made_since(head, part)]


def made_since(head: Content, part: Content) -> bool:
    """Whether a part was made later than a head, for a later event: the head was not made of it."""
    since = head.event if head.event is not None else -1
    return (
        part.event is not None
        and part.event > since
        and (part.run > head.run or part.created_at > head.created_at)
    )


def _gone(graph: Graph, node: Node, item: Pinned) -> dict[str, int | None]:
    """The units that the head was made of and that are deleted since, each by which event.

    After a restart, of many units, those that were deleted after the head was settled.
    """
    if item.edge.own or node.heads[0] is None:
        return {}
    read = node.last_read.get(item.edge.parameter)
    if read is not None:
        lost = {key for key, _ in read} - {key for key, _ in item.parts}
        nodes = graph.nodes[item.edge.producer.name]
        found = {key: nodes[key] for key in sorted(lost) if key in nodes}
        return {key: _deletion(graph, unit, 0) for key, unit in found.items()}
    gone: dict[str, int | None] = {}
    for unit in graph.producers(node, item.edge):
        states = unit.history.latest
        if states is not None and states[item.edge.output] is Gone.DELETED:
            event = _deletion(graph, unit, node.epoch)
            if event is not None:
                gone[unit.key] = event
    return gone


def _deletion(graph: Graph, unit: Node, since: int) -> int | None:
    """The event of the first file that is gone of those a unit is made of, after an epoch."""
    stack, seen, found = [unit], {unit}, list[int]()
    while stack:
        at = stack.pop()
        if at.deleted_event is not None and at.epoch > since:
            found.append(at.deleted_event)
        for edge in at.plan.inputs:
            above = graph.get(edge.producer, at.key) if edge.own else None
            if above is not None and above not in seen:
                seen.add(above)
                stack.append(above)
    return min(found, default=None)
