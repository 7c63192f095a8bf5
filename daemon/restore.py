"""Rebuild the planner from the ledger: what is only in memory comes from there.

Every unit is looked at once at the newest epoch: a run key that is known settles it, what is left
is stale. Used by the daemon at its start and by commands that read while none runs.
"""

from collections.abc import Mapping
from sys import intern

import msgspec

from afresh.assets.planner.changes import Arrived, Paused
from afresh.assets.planner.content import OPEN, Columns, Content, Gone, Span, State
from afresh.assets.planner.growth import add_units
from afresh.assets.planner.nodes import NEVER, Node, Trouble
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.slim import Slim
from afresh.assets.planner.topology import Topology
from afresh.daemon.journal import batch_size
from afresh.daemon.restore_policies import restore_policies, restore_roots
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved

_columns = msgspec.json.Decoder(dict[str, str])


Contents = Mapping[tuple[str, str], Mapping[int, Content]]


def restore_planner(
    topology: Topology, read: saved.Read, state: saved.State, *, max_wait_seconds: float, now: float
) -> Planner:
    """Build the planner for these definitions; nothing is running in it."""
    planner = Planner(topology, max_wait_seconds=max_wait_seconds, epoch=max(state.epoch, 1))
    contents = _load_contents(read)
    heads = {(head.asset, head.partition): head for head in state.units}
    for (asset, key), head in heads.items():
        plan = topology.plans.get(asset)
        if plan is not None and plan.source is not None:
            _restore_source(planner, asset, key, head, contents)
    _restore_deletions(planner, read)
    restore_roots(planner, state, contents)
    keys = _index_run_keys(state, contents)
    failures = {(row.asset, row.partition): row for row in state.failures}
    inputs = _load_inputs(read)
    marks = _load_marks(read)
    code_event = read(queries.LAST_CODE_EVENT, {})[0][0]
    for plan in topology.plans.values():
        for node in planner.graph.nodes[plan.name].values():
            if plan.function is not None:
                _restore_function(node, heads, contents, keys, failures)
                node.code_event = code_event
                node.last_read = inputs.get((plan.assets[0], node.key), node.last_read)
                node.marks = marks.get((plan.assets[0], node.key)) if plan.incremental else None
            elif (row := failures.get(node.name)) is not None and not plan.stream:
                node.trouble = Trouble("", row.attempts, row.kind, row.error, row.run)
    for event in state.pending:
        if event.source in topology.plans:
            deleted = event.kind == "deleted"
            arrived = Arrived(
                event.source,
                event.partition,
                event.seq,
                "deleted" if deleted else "arrived",
                batch_size(event._asdict()),
            )
            planner.step([arrived], now)
    _pause(planner, state, now)
    restore_policies(planner, read, now)
    functions = [
        node
        for plan in topology.plans.values()
        if plan.function is not None
        for node in planner.graph.nodes[plan.name].values()
    ]
    planner.reach(functions, planner.epoch, now)
    planner.policies.date_back()
    return planner


def _load_contents(read: saved.Read) -> dict[tuple[str, str], dict[int, Content]]:
    contents: dict[tuple[str, str], dict[int, Content]] = {}
    for row in saved.load_contents(read):
        asset, key, version, fingerprint, columns, uri, hash_, rows, code, event, run, at = row[:12]
        hashes = Columns.of(_columns.decode(columns))
        # The same few keys come a thousand times.
        span = Span(*row[12:]) if row[13] is not None else None
        content = Content(
            version, fingerprint, hashes, uri, hash_, rows, intern(code), event, run, at, span
        )
        contents.setdefault((asset, key), {})[version] = content
    return contents


def _load_inputs(read: saved.Read) -> dict[tuple[str, str], Slim[tuple[tuple[str, int], ...]]]:
    inputs: dict[tuple[str, str], Slim[tuple[tuple[str, int], ...]]] = {}
    shared: dict[tuple[str, int], tuple[tuple[str, int], ...]] = {}
    for asset, key, parameter, partition, version in read(queries.INPUTS_OF_HEADS, {}):
        part = partition, version
        given = shared.setdefault(part, (part,))
        inputs.setdefault((asset, key), Slim())[intern(parameter)] = given
    return inputs


def _load_marks(read: saved.Read) -> dict[tuple[str, str], dict[str, Span]]:
    marks: dict[tuple[str, str], dict[str, Span]] = {}
    for asset, key, parameter, end, origin in read(queries.MARKS, {}):
        marks.setdefault((asset, key), {})[parameter] = Span(origin, end, origin)
    return marks


def _index_run_keys(
    state: saved.State, contents: Contents
) -> dict[tuple[str, str], dict[str, State]]:
    keys: dict[tuple[str, str], dict[str, State]] = {}
    for row in state.run_keys:
        content = contents.get((row.asset, row.partition), {}).get(row.version)
        if content is not None:
            keys.setdefault((row.asset, row.partition), {})[row.run_key] = content
    return keys


def _restore_source(
    planner: Planner, name: str, key: str, head: saved.UnitRow, contents: Contents
) -> None:
    plan = planner.topology.plans[name]
    if key and not plan.partitioned:
        return
    node = planner.graph.add(Node(plan, key, NEVER))
    node.updated_at = head.updated_at
    _take_contents(node, 0, contents.get((name, key), {}), head.version)
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


def _restore_deletions(planner: Planner, read: saved.Read) -> None:
    """Which event said of each source's unit that its file is gone."""
    for asset, key, seq in read(queries.DELETIONS, {}):
        plan = planner.topology.plans.get(asset)
        node = planner.graph.get(plan, key) if plan is not None else None
        if node is not None:
            node.deleted_event = seq


def _restore_function(
    node: Node,
    heads: Mapping[tuple[str, str], saved.UnitRow],
    contents: Contents,
    keys: Mapping[tuple[str, str], Mapping[str, State]],
    failures: Mapping[tuple[str, str], saved.FailureRow],
) -> None:
    known: dict[str, list[State | None]] = {}
    count = len(node.plan.assets)
    for output, asset in enumerate(node.plan.assets):
        unit = (asset, node.key)
        head = heads.get(unit)
        if head is not None:
            _take_contents(node, output, contents.get(unit, {}), head.version)
            node.epoch = max(node.epoch, head.epoch)
            node.updated_at = head.updated_at
            node.deleted = node.deleted or head.deleted
        for run_key, state in keys.get(unit, {}).items():
            known.setdefault(run_key, [None] * count)[output] = state
        failure = failures.get(unit)
        if failure is not None:
            if failure.attempts and failure.run_key:
                known.setdefault(failure.run_key, [None] * count)[output] = Gone.HELD
            failures_before = node.failures or {}
            same = failures_before.get(failure.run_key)
            outputs = (*(same.outputs if same else ()), output)
            node.trouble = Trouble(
                failure.run_key,
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
    units = [
        (row.name, row.partition)
        for row in state.pauses
        if row.kind == "asset" and row.name in planner.topology.assets
    ]
    planner.step([Paused(tuple(units), on=True)], now)
