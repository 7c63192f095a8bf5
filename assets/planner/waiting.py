"""Why a unit that is behind does not run: what its refresh policy waits for, in a sentence."""

from afresh.assets.partition import format_ref
from afresh.assets.planner.nodes import Node
from afresh.assets.planner.policies import Policies
from afresh.assets.policy import (
    AllNew,
    AnyNew,
    Both,
    Cron,
    Either,
    Every,
    Freshness,
    Manual,
    Policy,
    describe,
    span,
)

MOST_NAMED = 3


def explain_wait(policies: Policies, node: Node, now: float) -> str:
    """Say what the policy of a unit that is behind waits for."""
    policy = node.plan.policy
    left = f"left behind by refresh={describe(policy)}"
    behind = policies.behind(node)
    match policy:
        case Manual():
            name = format_ref(node.plan.name, node.key)
            return f"{left}: afresh materialize {name} brings it up to date"
        case Cron() | Every():
            at = policies.timetable.next_of(node.plan.name)
            return f"{left}: its next tick is {_in(at, now)}"
        case Freshness() if behind is not None:
            at = policies.goals.latest_start(node.plan, behind.since)
            if at <= now and node.watching and not policies.news.of(node):
                above = ", ".join(hindered(unit) for unit in node.watching[:MOST_NAMED])
                return f"{left}: it had to start, but needs {above}"
            return f"{left}: it has to start {_in(at, now)}"
    new = policies.news.of(node)
    named = _named(policy, {edge.parameter for edge in node.plan.inputs})
    old = [edge.asset for edge in node.plan.inputs if edge.parameter in named - new]
    return f"{left}: nothing new from {', '.join(old)}" if old else left


def hindered(unit: Node) -> str:
    """Name a unit that is waited for, and say why it is not settled."""
    how = "failed" if unit.trouble is not None else "blocked"
    if unit.running is not None:
        how = "running"
    elif unit.paused:
        how = "paused"
    elif unit.deleted:
        how = "deleted"
    return f"{format_ref(unit.plan.name, unit.key)}, which is {how}"


def _named(policy: Policy, inputs: set[str]) -> set[str]:
    """Give the inputs that a condition is about; those that it does not name are all."""
    match policy:
        case AllNew(names) | AnyNew(names):
            return set(names) or inputs
        case Both(left, right) | Either(left, right):
            return _named(left, inputs) | _named(right, inputs)
    return inputs


def _in(at: float | None, now: float) -> str:
    if at is None:
        return "not known"
    return f"in {span(max(0.0, round(at - now, 1 if at - now < 60 else 0)))}"
