"""Planted bugs of refresh policies: the worlds with an oracle must find each of them."""

from collections.abc import Iterable
from functools import partial
from random import Random
from typing import Any

import pytest

from afresh.assets.planner import known
from afresh.assets.planner.behind import Behind, News
from afresh.assets.planner.changes import Ticked
from afresh.assets.planner.content import Gone
from afresh.assets.planner.deadlines import Deadlines
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.nodes import Node, Prepared
from afresh.assets.planner.policies import Policies
from afresh.assets.planner.quiet import Quiets
from afresh.assets.planner.requests import Requests
from afresh.daemon.restore import policies
from support.planting import Planted, check_found
from support.scripts import random_case
from support.simulator import World

# The first finds what others rarely do.
SEEDS = [260, *range(300)]


def play(seed: int) -> None:
    """Whatever may happen to a small graph with policies, now and then with a ledger."""
    random = Random(seed)
    graph, script = random_case(random, policies=True)
    World(graph, random, durable=seed % 4 == 1, workers=1 + seed % 4).play(script)


CASES = [partial(play, seed) for seed in SEEDS]
planted = Planted()


@planted
def policy_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Policies, "defers", lambda *_args: False)


@planted
def change_is_forgotten_while_a_unit_is_behind(patch: pytest.MonkeyPatch) -> None:
    def add(self: Behind, epoch: int, since: float) -> None:
        if not self.changes:
            original(self, epoch, since)

    original = Behind.add
    patch.setattr(Behind, "add", add)


@planted
def inputs_are_those_of_when_it_was_queued(patch: pytest.MonkeyPatch) -> None:
    def reuse(node: Node, epoch: int) -> Prepared | None:
        root, node.plan.root = node.plan.root, False
        try:
            return original(node, epoch)
        finally:
            node.plan.root = root

    from afresh.assets.planner import settling

    original = known.reuse
    patch.setattr(settling, "reuse", reuse)


@planted
def condition_counts_what_was_read_as_new(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(News, "consume", lambda *_args: None)


@planted
def news_of_the_last_input_are_not_told(patch: pytest.MonkeyPatch) -> None:
    def move(self: News, reader: Node, edge: Any, unit: Node) -> None:
        if edge is not reader.plan.inputs[-1]:
            original(self, reader, edge, unit)

    original = News.move
    patch.setattr(News, "move", move)


@planted
def unit_that_was_never_let_run_belongs_to_its_asset(patch: pytest.MonkeyPatch) -> None:
    def add(self: Graph, node: Node) -> Node:
        if node.plan.root:
            node.born = 1
        return original(self, node)

    original = Graph.add
    patch.setattr(Graph, "add", add)


@planted
def what_was_let_run_is_forgotten_by_a_restart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(policies, "_let_run", lambda *_args: None)


@planted
def what_was_read_is_forgotten_by_a_restart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(policies._Past, "consumed", lambda *_args: {})


@planted
def failure_of_a_root_is_forgotten_by_a_restart(patch: pytest.MonkeyPatch) -> None:
    def restore(planner: Any, kept: Any) -> None:
        kept.failures = {}
        original(planner, kept)

    from afresh.daemon.restore import planner as home

    original = policies.restore_roots
    patch.setattr(home, "restore_roots", restore)


@planted
def debounce_never_looks_again(patch: pytest.MonkeyPatch) -> None:
    def waits(self: Quiets, node: Node, now: float) -> bool:
        woken = node.wake_at
        found = original(self, node, now)
        node.wake_at = woken
        return found

    original = Quiets.waits
    patch.setattr(Quiets, "waits", waits)


@planted
def freshness_is_not_looked_at_after_the_first_time(patch: pytest.MonkeyPatch) -> None:
    def put(self: Deadlines, node: Node, at: float) -> None:
        if node.history.latest is None or Gone.HELD in node.history.latest:
            original(self, node, at)

    original = Deadlines.put
    patch.setattr(Deadlines, "put", put)


@planted
def request_stops_at_what_is_named(patch: pytest.MonkeyPatch) -> None:
    def let_run(self: Requests, nodes: Iterable[Node], change: Ticked) -> list[Node]:
        policies = self._policies
        return [node for node in nodes if node.plan.root and policies.let_run(node, change)]

    patch.setattr(Requests, "_let_run", let_run)


@pytest.mark.parametrize("name", sorted(planted))
def test_planted_bug_is_found(name: str) -> None:
    check_found(planted[name], CASES, (ValueError, AssertionError))
