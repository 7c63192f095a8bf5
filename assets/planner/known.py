"""What a run would give, where that is known from its run key."""

from afresh.assets.planner.content import Gone, State
from afresh.assets.planner.nodes import Node, Pinned, Prepared
from afresh.assets.planner.runkey import run_key
from afresh.assets.planner.streams import find_new


def find_outcome(
    node: Node, cut: tuple[Pinned, ...] | Gone
) -> tuple[str, tuple[State, ...] | None]:
    """The run key of a cut and what it is known to give, None if it must run to know.

    Of what is gone nothing is made: no run key.
    """
    if isinstance(cut, Gone):
        return "", tuple(cut for _ in node.plan.assets)
    if node.plan.incremental:
        return find_new(node, cut)
    key = run_key(node, cut, node.plan.code)
    return key, _find_known(node, key, cut)


def reuse(node: Node, epoch: int) -> Prepared | None:
    """What was worked out when the node was queued, if it holds at this epoch too."""
    ready = node.prepared
    if ready is None or not (ready[0] == epoch or node.dirty[-1] <= ready[0] < epoch):
        return None
    if node.plan.root and ready[0] != epoch:
        # Changes below a root are not among those that it is dirty by.
        return None
    # No change has reached it since: what it reads is still the same.
    _, key, cut = ready
    known = find_new(node, cut)[1] if node.plan.incremental else _find_known(node, key, cut)
    if known is not None:
        return None
    node.prepared = (epoch, *ready[1:])
    return node.prepared


def _find_known(node: Node, key: str, cut: tuple[Pinned, ...]) -> tuple[State, ...] | None:
    """What this run key is known to give.

    With a policy that leaves code behind, what the old code gave, unless it is asked for by hand.
    """
    node.code_stale = False
    states = node.known.get(key)
    function = node.plan.function
    head = node.heads[0]
    if states is not None or head is None or function is None or node.requested:
        return states
    if function.on_code_change != "rebuild" and head.code != node.plan.code:
        states = node.known.get(run_key(node, cut, head.code))
        node.code_stale = states is not None
    return states
