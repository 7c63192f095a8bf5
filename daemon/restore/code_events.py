"""Since which change of definitions each function is as it is: what code is the reason names that.

Later changes of other parts are no cause of its runs.
"""

from collections.abc import Iterable

import msgspec

from afresh.assets.manifest import Manifest
from afresh.assets.planner.topology import Plan, Topology, build_topology
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved

MOST_LOOKED_AT = 50
"""Definitions before the last one that are looked at; beyond that the oldest of these is named."""


def code_events(read: saved.Read, topology: Topology, names: Iterable[str]) -> dict[str, int]:
    """The journal's seq of the change that made each of these functions what it is now.

    Walks back through the definitions for as long as one of them was the same.
    """
    left = {name: topology.plans[name] for name in names}
    found: dict[str, int] = {}
    if not left:
        return found
    for seq, manifest in read(queries.CODE_EVENTS, {"limit": MOST_LOOKED_AT}):
        try:
            older = build_topology(msgspec.msgpack.decode(manifest, type=Manifest))
        except msgspec.MsgspecError:
            # Of another release: nobody knows what was the same then.
            break
        for name in list(left):
            if _is_same(left[name], older.plans.get(name)):
                found[name] = seq
            else:
                del left[name]
        if not left:
            break
    return found


def _is_same(plan: Plan, older: Plan | None) -> bool:
    return older is not None and _declared(plan) == _declared(older)


def _declared(plan: Plan) -> tuple[object, ...]:
    inputs = tuple((edge.parameter, edge.asset, edge.own, edge.columns) for edge in plan.inputs)
    return plan.code, plan.parameters, inputs
