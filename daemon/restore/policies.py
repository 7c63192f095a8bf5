"""Restore what refresh policies left behind or let run: the units that are declared roots.

A root goes on with its last version whatever its inputs are by now, so it is settled from the start
on; what came since is behind it, and what let it run before the stop still does.
"""

from msgspec import json

from afresh.assets.partition import Ref, parse_ref
from afresh.assets.planner.behind import Consumed
from afresh.assets.planner.changes import Ticked
from afresh.assets.planner.content import OPEN, Gone, State
from afresh.assets.planner.goals import REMEMBERED
from afresh.assets.planner.growth import add_units
from afresh.assets.planner.nodes import NEVER, Node
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.releases import OWED
from afresh.assets.policy import Debounce
from afresh.daemon.restore.units import Kept, Unit
from afresh.daemon.ticks import BUDGET, DUE, TICK, Reason
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved


def restore_roots(planner: Planner, kept: Kept) -> None:
    """Settle each root at its last version; upstream first, since others are named after it."""
    for plan in kept.plans:
        for node in list(planner.graph.nodes[plan.name].values()):
            units = [(asset, node.key) for asset in plan.assets]
            found = [_last_state(unit, kept) for unit in units]
            states = tuple(each for each in found if each is not None)
            if len(states) == len(units):
                epochs = [kept.heads[unit].epoch for unit in units if unit in kept.heads]
                node.born = max(epochs, default=1) or 1
                node.epoch = min(epochs) if len(epochs) == len(units) else 0
                node.history.settle(1, OPEN, states, set())
                add_units(planner.graph, node, node.born)
                planner.graph.refresh(node)


def _last_state(unit: Unit, kept: Kept) -> State | None:
    """What a unit was last, None if it never was."""
    if unit in kept.failures:
        return Gone.HELD
    head = kept.heads.get(unit)
    if head is None:
        return None
    if head.deleted:
        return Gone.DELETED
    return kept.contents.get(unit, {}).get(head.version or 0)


def restore_policies(planner: Planner, read: saved.Read, now: float) -> None:
    """Begin with all schedules, and let run what was let run; call it when all units are known."""
    topology, policies = planner.topology, planner.policies
    since: dict[str, float] = {}
    due: list[tuple[str, Reason]] = []
    roots = [plan for plan in topology.plans.values() if plan.root]
    budgets = planner.ingests.budgets
    for name, value, _ in read(queries.CURSORS, {}) if roots or budgets else ():
        if name.startswith(TICK):
            since[name.removeprefix(TICK)] = float(value)
        elif name.startswith(BUDGET):
            left, at = map(float, value.split())
            # A clock that was set back gives no more, and takes nothing for long.
            budgets.restore(name.removeprefix(BUDGET), left, min(at, now))
        elif name.startswith(DUE):
            due.append((name.removeprefix(DUE), json.decode(value, type=Reason)))
    policies.begin(since)
    for plan in policies.goals.timed:
        for (seconds,) in read(queries.LAST_SECONDS, {"asset": plan.name, "limit": REMEMBERED}):
            policies.goals.note(plan, seconds)
    past = _Past(read)
    debounced = [p for p in topology.plans.values() if isinstance(p.policy, Debounce)]
    for plan in [*roots, *debounced]:
        for node in planner.graph.nodes[plan.name].values():
            policies.restore(node, past.consumed(node))
    for ref, reason in due:
        _let_run(planner, parse_ref(ref), reason, now)
    # It is kept already.
    policies.releases.take_log()


def _let_run(planner: Planner, ref: Ref, reason: Reason, now: float) -> None:
    """Let a unit run that was let run before; if that came while it was paused, when it is not."""
    keys = (ref.partition or "",)
    owed = reason.kind == OWED
    kind = "tick" if owed else reason.kind
    tick = Ticked(planner.epoch, reason.seq, ref.asset, keys, reason.detail, kind=kind)
    plan = planner.topology.plans.get(ref.asset)
    node = planner.graph.get(plan, keys[0]) if plan is not None and plan.root else None
    if node is None:
        return
    if owed:
        nodes, _ = planner.policies.tick(tick)
    else:
        nodes = [node] if planner.policies.let_run(node, tick) else []
    planner.reach(nodes, planner.epoch, now)


class _Past:
    """What units were as of an epoch."""

    def __init__(self, read: saved.Read) -> None:
        self._read = read
        self._whole: dict[tuple[str, int], dict[str, int]] = {}

    def consumed(self, node: Node) -> Consumed:
        """What a unit read that is settled at its epoch; nothing if it never was, or is deleted."""
        if node.born == NEVER or not node.epoch or node.deleted:
            return {}
        return {
            edge.parameter: self._of_one(edge.asset, node.key, node.epoch)
            if edge.own
            else self._of_all(edge.asset, node.epoch)
            for edge in node.plan.inputs
        }

    def _of_one(self, asset: str, key: str, epoch: int) -> dict[str, int]:
        unit = {"asset": asset, "partition": key, "epoch": epoch}
        rows = self._read(queries.UNIT_AT, unit)
        return {key: rows[0][1]} if rows and rows[0][1] is not None else {}

    def _of_all(self, asset: str, epoch: int) -> dict[str, int]:
        if (asset, epoch) not in self._whole:
            rows = self._read(queries.ASSET_AT, {"asset": asset, "epoch": epoch})
            self._whole[asset, epoch] = {
                key: version for key, _, version, _ in rows if version is not None
            }
        return self._whole[asset, epoch]
