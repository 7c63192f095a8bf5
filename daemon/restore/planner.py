"""Rebuild the planner from the ledger: what is only in memory comes from there.

Every unit is looked at once at the newest epoch: a run key that is known settles it, what is left
is stale. Used by the daemon at its start and by commands that read while none runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from afresh.assets.planner.changes import Arrived, Paused
from afresh.assets.planner.content import OPEN, Content, Gone, State
from afresh.assets.planner.growth import add_units
from afresh.assets.planner.nodes import NEVER, Node, Trouble
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import Plan, Topology
from afresh.daemon.journal import batch_size
from afresh.daemon.pauses import RESUMED
from afresh.daemon.restore.code_events import code_events
from afresh.daemon.restore.policies import restore_policies, restore_roots
from afresh.daemon.restore.units import Kept
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.units import UnitRow

ASSETS_AT_ONCE = 300
"""What is read of so many is dropped before the next are: a start needs little more than stays."""


def restore_planner(
    topology: Topology, read: saved.Read, state: saved.State, *, max_wait_seconds: float, now: float
) -> Planner:
    """Build the planner for these definitions; nothing is running in it."""
    planner = Planner(topology, max_wait_seconds=max_wait_seconds, epoch=max(state.epoch, 1))
    plans = list(topology.plans.values())
    for kept in _some(read, [plan for plan in plans if plan.source is not None]):
        for (asset, key), head in kept.heads.items():
            _restore_source(planner, asset, key, head, kept)
        _restore_troubles(planner, kept)
    _restore_deletions(planner, read)
    roots = sorted((plan for plan in plans if plan.root), key=lambda plan: plan.rank)
    for kept in _some(read, roots):
        restore_roots(planner, kept)
    code_event = read(queries.LAST_CODE_EVENT, {})[0][0]
    for kept in _some(read, [plan for plan in plans if plan.function is not None]):
        for plan in kept.plans:
            for node in planner.graph.nodes[plan.name].values():
                _restore_function(node, kept)
                node.code_event = code_event
    _name_code(planner, read)
    _restore_pending(planner, state, now)
    _pause(planner, state, now)
    restore_policies(planner, read, now)
    functions = [
        node
        for plan in plans
        if plan.function is not None
        for node in planner.graph.nodes[plan.name].values()
    ]
    planner.reach(functions, planner.epoch, now)
    planner.policies.date_back()
    return planner


def _name_code(planner: Planner, read: saved.Read) -> None:
    """Of what was made by other code, which change of definitions brought the code it has now."""
    changed = [
        (plan.name, node)
        for plan in planner.topology.plans.values()
        if plan.function is not None
        for node in planner.graph.nodes[plan.name].values()
        if node.heads[0] is not None and node.heads[0].code != plan.code
    ]
    events = code_events(read, planner.topology, {name for name, _ in changed})
    for name, node in changed:
        node.code_event = events.get(name, node.code_event)


def _some(read: saved.Read, plans: Sequence[Plan]) -> Iterator[Kept]:
    for start in range(0, len(plans), ASSETS_AT_ONCE):
        yield Kept(read, plans[start : start + ASSETS_AT_ONCE])


def _restore_source(planner: Planner, name: str, key: str, head: UnitRow, kept: Kept) -> None:
    plan = planner.topology.plans[name]
    if not plan.has_key(key):
        return
    node = planner.graph.add(Node(plan, key, NEVER))
    node.updated_at = head.updated_at
    _take_contents(node, 0, kept.contents.get((name, key), {}), head.version)
    node.deleted = head.deleted
    if head.version is None:
        return
    source = plan.source
    last: State | None = node.heads[0]
    if node.deleted and source is not None:
        last = {"propagate": Gone.DELETED, "fail": Gone.HELD}.get(source.on_delete, last)
    if head.failed_run is not None and source is not None and source.on_reject == "hold":
        last = Gone.HELD
    if last is not None:
        node.born = node.epoch = head.epoch
        node.history.settle(1, OPEN, (last,), set())
        add_units(planner.graph, node, head.epoch)
        planner.graph.refresh(node)


def _restore_troubles(planner: Planner, kept: Kept) -> None:
    """What could not be read of each source."""
    for (name, key), row in kept.failures.items():
        node = planner.graph.get(planner.topology.plans[name], key)
        if node is not None:
            node.trouble = Trouble(row.attempts, row.kind, row.error, row.run)


def _restore_pending(planner: Planner, state: saved.State, now: float) -> None:
    """Let what was recorded and not taken in arrive again; a stream that halted tries at once."""
    arrived = []
    for event in state.pending:
        plan = planner.topology.plans.get(event.source)
        size = batch_size(event.payload_bytes, event.staged)
        if plan is not None and plan.stream and event.identity and not size:
            # A file of before its source was a stream. (A webhook's calls have an identity, too.)
            continue
        kind: Literal["deleted", "arrived"] = "deleted" if event.kind == "deleted" else "arrived"
        arrived.append(Arrived(event.source, event.partition, event.seq, kind, size))
    planner.step(arrived, now)
    for plan in planner.topology.plans.values():
        node = planner.graph.get(plan, "") if plan.source is not None and plan.stream else None
        if node is not None and node.trouble is not None:
            if not node.pending:
                node.trouble = None
            planner.ingests.resume(node)


def _restore_deletions(planner: Planner, read: saved.Read) -> None:
    """Which event said of each source's unit that its file is gone."""
    for asset, key, seq in read(queries.DELETIONS, {}):
        plan = planner.topology.plans.get(asset)
        node = planner.graph.get(plan, key) if plan is not None else None
        if node is not None:
            node.deleted_event = seq


def _restore_function(node: Node, kept: Kept) -> None:
    known: dict[str, list[State | None]] = {}
    count = len(node.plan.assets)
    for output, asset in enumerate(node.plan.assets):
        unit = (asset, node.key)
        head = kept.heads.get(unit)
        if head is not None:
            _take_contents(node, output, kept.contents.get(unit, {}), head.version)
            node.epoch = max(node.epoch, head.epoch)
            node.updated_at = head.updated_at
            node.deleted = node.deleted or head.deleted
        for run_key, state in kept.known.get(unit, {}).items():
            known.setdefault(run_key, [None] * count)[output] = state
        failure = kept.failures.get(unit)
        if failure is not None:
            if failure.attempts and failure.run_key:
                known.setdefault(failure.run_key, [None] * count)[output] = Gone.HELD
            failures_before = node.failures or {}
            same = failures_before.get(failure.run_key)
            outputs = (*(same.outputs if same else ()), output)
            node.trouble = Trouble(
                failure.attempts,
                failure.kind,
                failure.error,
                failure.run,
                outputs=outputs if count > 1 else (),
            )
            node.failures = {**failures_before, failure.run_key: node.trouble}
    for run_key, states in known.items():
        whole = tuple(state for state in states if state is not None)
        if len(whole) == count:
            node.known[run_key] = whole
    unit = node.plan.assets[0], node.key
    node.last_read = kept.inputs.get(unit, node.last_read)
    if node.plan.incremental:
        node.marks = kept.marks.get(unit)
        node.staged = _staged(node, kept)


def _staged(node: Node, kept: Kept) -> tuple[Content, ...] | None:
    """What is to take the place of the heads: versions that are newer than these."""
    found = []
    for asset, head in zip(node.plan.assets, node.heads, strict=True):
        versions = kept.contents.get((asset, node.key), {})
        last = versions[max(versions)] if versions else None
        if last is None or last.span is None or last == head:
            return None
        found.append(last)
    return tuple(found)


def _take_contents(
    node: Node, output: int, versions: Mapping[int, Content], head: int | None
) -> None:
    for number, content in sorted(versions.items()):
        if content.span is None:
            node.by_fingerprint[output][content.fingerprint] = content
        node.numbers[output] = max(node.numbers[output], number)
    if head is not None:
        node.heads[output] = versions.get(head)


def _pause(planner: Planner, state: saved.State, now: float) -> None:
    rows = [row for row in state.pauses if row.name in planner.topology.assets]
    changes = [
        Paused(tuple((row.name, row.partition) for row in rows if row.kind == kind), on)
        for kind, on in (("asset", True), (RESUMED, False))
    ]
    planner.step(changes, now)
