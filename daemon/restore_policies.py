"""Restore what refresh policies left behind or let run: the units that are declared roots.

A root goes on with its last version whatever its inputs are by now, so it is settled from the start
on; what came since is behind it, and what let it run before the stop still does.
"""

from collections.abc import Mapping

from msgspec import json

from afresh.assets.partition import parse_ref
from afresh.assets.planner.behind import Consumed
from afresh.assets.planner.changes import Ticked
from afresh.assets.planner.content import OPEN, Content, Gone, State
from afresh.assets.planner.goals import REMEMBERED
from afresh.assets.planner.growth import add_units
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import Plan
from afresh.daemon.ticks import DUE, TICK, Reason
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved

Contents = Mapping[tuple[str, str], Mapping[int, Content]]


def restore_roots(planner: Planner, state: saved.State, contents: Contents) -> None:
    """Settle each root at its last version; upstream first, since others are named after it."""
    roots = [plan for plan in planner.topology.plans.values() if plan.root]
    if not roots:
        return
    heads = {(head.asset, head.partition): head for head in state.units}
    failed = {(row.asset, row.partition) for row in state.failures}
    for plan in sorted(roots, key=lambda each: each.rank):
        for node in list(planner.graph.nodes[plan.name].values()):
            states: list[State] = []
            epochs = []
            for asset in plan.assets:
                unit = (asset, node.key)
                if unit in failed:
                    states.append(Gone.HELD)
                head = heads.get(unit)
                if head is None:
                    continue
                epochs.append(head.epoch)
                content = contents.get(unit, {}).get(head.version or 0)
                if unit in failed:
                    continue
                if head.deleted:
                    states.append(Gone.DELETED)
                elif content is not None:
                    states.append(content)
            if len(states) == len(plan.assets):
                node.born = node.epoch = max(epochs, default=1) or 1
                node.history.settle(1, OPEN, tuple(states), set())
                add_units(planner.graph, node, node.born)
                planner.graph.refresh(node)


def restore_policies(planner: Planner, read: saved.Read, now: float) -> None:
    """Begin with all schedules, and let run what was let run; call it when all units are known."""
    topology, policies = planner.topology, planner.policies
    since: dict[str, float] = {}
    due: list[tuple[str, Reason]] = []
    roots = [plan for plan in topology.plans.values() if plan.root]
    for name, value, _ in read(queries.CURSORS, {}) if roots else ():
        if name.startswith(TICK):
            since[name.removeprefix(TICK)] = float(value)
        elif name.startswith(DUE):
            due.append((name.removeprefix(DUE), json.decode(value, type=Reason)))
    policies.begin(since)
    for plan in policies.goals.timed:
        for (seconds,) in read(queries.LAST_SECONDS, {"asset": plan.name, "limit": REMEMBERED}):
            policies.goals.note(plan, seconds)
    for plan in roots:
        consumed = _load_consumed(plan, read)
        for node in planner.graph.nodes[plan.name].values():
            policies.restore(node, consumed.get(node.key, {}))
    for ref, reason in due:
        found = parse_ref(ref)
        keys = (found.partition or "",)
        tick = Ticked(planner.epoch, reason.seq, found.asset, keys, reason.detail, kind=reason.kind)
        nodes, _ = policies.tick(tick)
        planner.reach(nodes, planner.epoch, now)
    # It is kept already.
    policies.take_log()


def _load_consumed(plan: Plan, read: saved.Read) -> dict[str, Consumed]:
    """What the last good run of each unit read."""
    units: dict[str, Consumed] = {}
    whole: dict[tuple[str, int], dict[str, int]] = {}
    rows = read(queries.LAST_READ, {"asset": plan.name})
    for key, parameter, asset, epoch, partition, version in rows:
        consumed = units.setdefault(key, {})
        if version is not None:
            consumed[parameter] = {partition: version}
            continue
        if (asset, epoch) not in whole:
            found = read(queries.ASSET_AT, {"asset": asset, "epoch": epoch})
            whole[asset, epoch] = {each: number for each, _, number, _ in found if number}
        consumed[parameter] = whole[asset, epoch]
    return units
