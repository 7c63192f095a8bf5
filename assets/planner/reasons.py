"""Why a unit has to run: what differs from what its head was made of (P5)."""

from msgspec import Struct

from afresh.assets.partition import format_ref
from afresh.assets.planner.content import Content
from afresh.assets.planner.nodes import Node, Pinned

MOST_NAMED = 3


class Why(Struct, frozen=True):
    """Why a run has to be: sentences, the kind and event of the first cause, and all its events."""

    reasons: tuple[str, ...]
    kind: str
    event: int | None
    events: tuple[int, ...]


def explain(node: Node, pinned: tuple[Pinned, ...]) -> Why:
    """Compare what a run would read with what the head was made of."""
    head = node.heads[0]
    reasons: list[str] = []
    events: set[int] = set()
    for item in pinned:
        changed = _changed(node, item)
        events.update(part.event for _, part in changed if part.event is not None)
        for key, part in changed[:MOST_NAMED]:
            reasons.append(f"{format_ref(item.edge.asset, key, part.version)} is new")
        if len(changed) > MOST_NAMED:
            reasons.append(f"{len(changed) - MOST_NAMED} more units of {item.edge.asset} are new")
        reasons += [f"{format_ref(item.edge.asset, key)} is gone" for key in _gone(node, item)]
    first = min(events, default=None)
    if node.requested and node.requested_event is not None:
        return Why(
            ("requested by hand", *reasons), "request", node.requested_event, tuple(sorted(events))
        )
    if head is None:
        reasons.insert(0, "it has no version yet")
    elif head.code != node.plan.code:
        reasons.insert(0, "its code changed")
    elif first is None and not reasons and _is_declared_since(node, head):
        reasons.append("its parameters changed")
    if _is_by_declaration(node, events, reasons):
        return Why(tuple(reasons), "code", node.code_event, tuple(sorted(events)))
    if first is None:
        newest = [part.event for item in pinned for _, part in item.parts if part.event is not None]
        first = max(newest, default=None)
        reasons = reasons or ["its parameters changed, or a unit that it read is gone"]
    return Why(tuple(reasons), "arrived", first, tuple(sorted(events)))


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
    since = head.event if head.event is not None else -1
    return [
        (key, part)
        for key, part in item.parts
        if part.event is not None
        and part.event > since
        and (part.run > head.run or part.created_at > head.created_at)
    ]


def _gone(node: Node, item: Pinned) -> list[str]:
    before = {key for key, _ in node.last_read.get(item.edge.parameter) or ()}
    return sorted(before - {key for key, _ in item.parts})[:MOST_NAMED]
