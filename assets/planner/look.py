"""What to say of a unit to people: its state, the first in their order that fits, and why."""

from collections.abc import Iterator

from afresh.assets.partition import format_ref
from afresh.assets.planner.content import Gone
from afresh.assets.planner.leftover import is_left_by_deletion
from afresh.assets.planner.nodes import NEVER, Node, Trouble
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import same_code
from afresh.assets.planner.view import Reason, State, UnitView
from afresh.assets.planner.waiting import explain_wait, hindered

MOST_REASONS = 10


class Looks:
    """Read-only questions about a planner's state."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner

    def assets(self) -> list[str]:
        """All sources and assets, upstream first."""
        plans = sorted(
            self._planner.topology.plans.values(), key=lambda plan: (plan.rank, plan.name)
        )
        return [asset for plan in plans for asset in plan.assets]

    def units(self) -> Iterator[tuple[str, str]]:
        """All known units: assets upstream first, an asset's keys in order."""
        plans = sorted(
            self._planner.topology.plans.values(), key=lambda plan: (plan.rank, plan.name)
        )
        for plan in plans:
            keys = sorted(self._planner.graph.nodes[plan.name])
            if plan.source is not None and not plan.partitioned:
                keys = keys or [""]
            for asset in plan.assets:
                for key in keys:
                    yield asset, key

    def look(self, asset: str, partition: str, now: float) -> UnitView:
        """How a unit is. Raises KeyError where there is no such unit."""
        plan, output = self._planner.topology.assets[asset]
        node = self._planner.graph.get(plan, partition)
        if node is None:
            if plan.source is not None and not plan.partitioned and not partition:
                reason = Reason("missing", f"nothing has arrived for {asset} yet")
                return UnitView(asset, "", "source", "missing", None, 0, None, (reason,))
            raise KeyError(format_ref(asset, partition))
        if plan.source is not None:
            state, reasons, will = self._look_at_source(node, now)
        else:
            state, reasons, will = self._look_at_function(node, output, now)
        head = node.heads[output]
        clean = not node.dirty and node.history.latest is not None
        clean = clean and self._planner.policies.behind(node) is None
        return UnitView(
            asset,
            partition,
            "source" if plan.source is not None else "asset",
            state,
            head.version if head is not None else None,
            self._planner.epoch if clean and state != "failed" else node.epoch,
            node.updated_at,
            tuple(reasons[:MOST_REASONS]),
            will,
        )

    def _look_at_source(self, node: Node, now: float) -> tuple[State, list[Reason], bool]:
        if node.running is not None:
            return "running", [_running(node)], True
        if node.paused:
            return "paused", [self._paused(node)], False
        if node.trouble is not None and node.trouble.final:
            again = self._planner.ingests.halts.until(node)
            reasons = [_failed(node)]
            if again is not None:
                reasons.append(Reason("retry", f"tried again in {max(0.0, again - now):.0f} s"))
            return "failed", reasons, False
        if node.pending:
            event = node.pending[-1][0]
            budget = self._planner.ingests.budgets.over(node.plan)
            over = f": {node.plan.name} is over its budget of {budget}" if budget else ""
            text = f"event {event} waits to be read{over}"
            reasons = [Reason("event", text, event=event)]
            if node.trouble is not None:
                reasons.append(_retry(node.trouble, now))
            return "stale", reasons, True
        if node.heads[0] is None:
            name = format_ref(node.plan.name, node.key)
            return "missing", [Reason("missing", f"nothing has arrived for {name} yet")], False
        if node.deleted:
            source = node.plan.source
            follows = source.on_delete if source is not None else "keep"
            return "fresh", [Reason("deleted", f"its file is deleted (on_delete={follows})")], False
        return "fresh", _outdated(node), False

    def _look_at_function(
        self, node: Node, output: int, now: float
    ) -> tuple[State, list[Reason], bool]:
        if node.running is not None:
            return "running", [_running(node)], True
        if node.paused:
            return "paused", [self._paused(node)], False
        trouble = node.trouble
        live = self._planner.is_live(node)
        if (
            trouble is not None
            and trouble.final
            and not (node.dirty and live)
            and (not trouble.outputs or output in trouble.outputs)
        ):
            return "failed", [_failed(node)], False
        if self._planner.policies.leaves(node):
            return self._left(node, output, now)
        pending = self._planner.ingests.pending_above(node)
        if pending and not live:
            return "stale", [Reason("waiting", "arrivals upstream are being read")], False
        if node.dirty or node.born == NEVER:
            if trouble is not None and not trouble.final and live:
                return "stale", [_retry(trouble, now)], True
            if not live:
                return self._blocked(node, output)
            return "stale", *self._stale(node)
        if pending:
            return "stale", [Reason("waiting", "arrivals upstream are being read")], False
        return "fresh", _behind(node), False

    def _paused(self, node: Node) -> Reason:
        if node.plan.suspended:
            return Reason("code", "its module does not import: it keeps its last good definition")
        stopped = self._planner.graph.stopped.get(node.plan.name)
        return Reason("paused", stopped or "paused by hand")

    def _left(self, node: Node, output: int, now: float) -> tuple[State, list[Reason], bool]:
        """Its policy alone says when it runs; what it reads may have changed since."""
        policies = self._planner.policies
        if node.heads[output] is None and (missing := self._planner.graph.absent(node)):
            if self._never_will_be(node, output):
                return "fresh", [_deleted()], False
            detail = f"needs {missing}, which has no data yet"
            return "missing", [Reason("missing", detail, ref=missing)], False
        if policies.behind(node) is None:
            return "fresh", _behind(node), False
        return "fresh", [Reason("policy", explain_wait(policies, node, now)), *_behind(node)], False

    def _blocked(self, node: Node, output: int) -> tuple[State, list[Reason], bool]:
        """It needs a unit that is failed, missing, paused or itself blocked."""
        if self._never_will_be(node, output):
            return "fresh", [_deleted()], False
        if node.heads[output] is not None and is_left_by_deletion(self._planner.graph, node):
            return "fresh", [_deleted()], False
        reasons = []
        if node.missing:
            reasons.append(
                Reason("missing", f"needs {node.missing}, which has no data yet", ref=node.missing)
            )
            if self._reads_no_units(node):
                if node.heads[output] is None:
                    return "missing", reasons, False
                return "blocked", reasons, False
        for upstream in node.watching:
            ref = format_ref(upstream.plan.name, upstream.key)
            reasons.append(Reason("blocked", f"needs {hindered(upstream)}", ref=ref))
        return "blocked", reasons or [Reason("blocked", "something upstream is not settled")], False

    def _never_will_be(self, node: Node, output: int) -> bool:
        """It was never born, and what it is named after is gone: it waits for nothing."""
        return node.born == NEVER and self._planner.graph.is_deleted(node, output)

    def _reads_no_units(self, node: Node) -> bool:
        graph = self._planner.graph
        return any(
            not edge.own
            and edge.producer.partitioned
            and all(
                graph.is_deleted(unit, edge.output)
                for unit in graph.nodes[edge.producer.name].values()
            )
            for edge in node.plan.inputs
        )

    def _stale(self, node: Node) -> tuple[list[Reason], bool]:
        """Why it will run, or may: inputs that changed, inputs that are not settled."""
        reasons: list[Reason] = []
        head = node.heads[0]
        if node.requested:
            reasons.append(Reason("request", "requested by hand", event=node.requested_event))
        if head is None:
            reasons.append(Reason("new", "it has no version yet"))
        elif head.code != node.plan.code:
            reasons.append(Reason("code", "its code changed"))
        certain = bool(reasons) or node.queued
        for edge in node.plan.inputs:
            before = dict(node.last_read.get(edge.parameter) or ())
            for unit in self._planner.graph.unsettled(node, edge):
                ref = format_ref(edge.asset, unit.key)
                reasons.append(Reason("waiting", f"{ref} may change", ref=ref))
                if len(reasons) > MOST_REASONS:
                    return reasons, certain
            for unit in self._planner.graph.producers(node, edge):
                part = unit.heads[edge.output]
                if part is not None and before and before.get(unit.key) != part.version:
                    ref = format_ref(edge.asset, unit.key, part.version)
                    certain = True
                    reasons.append(Reason("input", f"{ref} is new", ref=ref, event=part.event))
                if len(reasons) > MOST_REASONS:
                    return reasons, certain
        return reasons or [Reason("input", "something upstream changed")], certain


def _running(node: Node) -> Reason:
    attempt = node.running
    assert attempt is not None
    detail = "; ".join(attempt.reasons) or "its arrival is being read"
    return Reason("running", detail, ref=attempt.run, event=attempt.cause[1])


def _retry(trouble: Trouble, now: float) -> Reason:
    wait = max(0.0, (trouble.retry_at or now) - now)
    text = f"attempt {trouble.attempts} failed ({trouble.error}); again in {wait:.1f} s"
    return Reason("retry", text, ref=trouble.run)


def _failed(node: Node) -> Reason:
    trouble = node.trouble
    assert trouble is not None
    kind = "rejected" if trouble.kind == "rejected" else "failed"
    return Reason(kind, trouble.error, ref=trouble.run)


def _made_by_older_code(node: Node) -> Reason:
    head = node.heads[0]
    same = head is not None and same_code(head.code, node.plan.code)
    older = "made with other parameters" if same else "made by older code"
    return Reason("code", f"{older} (on_code_change)", event=node.code_event)


def _behind(node: Node) -> list[Reason]:
    reasons = _outdated(node)
    if node.code_stale:
        reasons.append(_made_by_older_code(node))
    if node.deleted or Gone.DELETED in (node.history.latest or ()):
        reasons.append(_deleted())
    return reasons


def _outdated(node: Node) -> list[Reason]:
    if not node.plan.outdated:
        return []
    return [Reason("code", "its module does not import: it goes on by its last good definition")]


def _deleted() -> Reason:
    return Reason("deleted", "what it was made from is deleted")
