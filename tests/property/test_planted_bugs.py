"""Planted planner bugs: the harness must find each, as it finds none in the planner as it is."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from afresh.assets.planner import known
from afresh.assets.planner.changes import Ended
from afresh.assets.planner.content import OPEN, Gone, History
from afresh.assets.planner.debts import Debts
from afresh.assets.planner.ends import Ends
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.ingests import Ingests
from afresh.assets.planner.nodes import Attempt, Node
from afresh.assets.planner.settling import Settling
from afresh.assets.planner.slim import Slim
from support.finding import Found
from support.oracle import FunctionSpec, GraphSpec, Read, SourceSpec, Value
from support.planting import Case, Planted, check_found
from support.scripts import random_case
from support.simulator import World

# The first two find what others rarely do.
SEEDS = [111, 109, *range(250)]
STREAM = GraphSpec(
    (SourceSpec("s"), SourceSpec("t", partitioned=False)),
    (
        FunctionSpec(("fast",), (Read("s"),)),
        FunctionSpec(("slow",), (Read("s"),)),
        FunctionSpec(("one",), (Read("fast"), Read("slow"))),
        FunctionSpec(("two",), (Read("fast"), Read("slow"), Read("t"))),
    ),
)


def play_random_case(seed: int) -> None:
    """Whatever may happen to a small graph."""
    random = Random(seed)
    graph, script = random_case(random)
    World(graph, random, durable=False, workers=1 + seed % 4).play(script)


def play_stream() -> None:
    """Two joins of a fast and a slow branch under a steady stream: both must get on."""
    seconds = {"fast": 0.02, "slow": 1.7, "one": 3.1, "two": 0.05}
    world = World(STREAM, Random(1), workers=100, durable=False, seconds=seconds)
    world.arrive(("t", "", Value("0", "0")))
    for i in range(200):
        world.arrive(("s", "k0", Value(str(i), str(i % 2))))
        world.advance(0.2)
    for name in ("one", "two"):
        at = [0.0, *[at for at, _ in world.tally.heads.get((name, ""), [])], 40.0]
        gap = max(after - before for before, after in pairwise(at))
        if gap > 1.0 + 3 * (1.7 + seconds[name]):
            raise Found(f"{name} starves: nothing for {gap:.1f} s")
    world.drain()
    world.check_rest()


CASES: list[Case] = [play_stream, *(partial(play_random_case, seed) for seed in SEEDS)]
planted = Planted()


@planted
def unit_that_has_not_run_yet_is_left_out_of_a_cut(patch: pytest.MonkeyPatch) -> None:
    def without(self: Graph, node: Node) -> None:
        if node.history.intervals:
            original(self, node)

    def ran(self: Graph, node: Node, edge: Any) -> Iterator[Node]:
        return (each for each in producers(self, node, edge) if each.history.intervals)

    original, producers = Graph.refresh, Graph.producers
    patch.setattr(Graph, "refresh", without)
    patch.setattr(Graph, "producers", ran)


@planted
def late_commit_moves_the_head_back(patch: pytest.MonkeyPatch) -> None:
    """Two attempts of a unit at once, and whoever ends last has its way."""

    def settle(
        self: History, epoch: int, end: int, states: tuple[Any, ...], keep: set[int]
    ) -> None:
        self.intervals = tuple(each for each in self.intervals if each.start < epoch)
        original(self, epoch, end, states, keep)

    def start(self: Settling, now: float) -> Attempt | None:
        attempt = begin(self, now)
        if attempt is not None:
            attempt.node.running = None
        return attempt

    original, begin = History.settle, Settling.start
    patch.setattr(History, "settle", settle)
    patch.setattr(Settling, "start", start)


@planted
def run_key_is_forgotten_when_content_is_equal(patch: pytest.MonkeyPatch) -> None:
    def end(self: Ends, change: Ended, now: float) -> None:
        node = change.attempt.node
        before = [getattr(head, "fingerprint", None) for head in node.heads]
        original(self, change, now)
        made = [getattr(state, "fingerprint", None) for state in change.states or ()]
        if change.attempt.kind == "run" and made == before:
            node.known = Slim((k, v) for k, v in node.known.items() if k != change.attempt.run_key)

    original = Ends.end
    patch.setattr(Ends, "end", end)


@planted
def debt_of_a_join_is_dropped_while_another_needs_it(patch: pytest.MonkeyPatch) -> None:
    def release(self: Debts, join: Node) -> list[Node]:
        target, debtors = join.target, list(join.debtors)
        freed = original(self, join)
        for debtor in debtors:
            if target is not None and debtor.owes is not None and target in debtor.owes:
                del debtor.owes[target]
                freed.append(debtor)
        return freed

    original = Debts.release
    patch.setattr(Debts, "release", release)


@planted
def coalescing_loses_the_last_change(patch: pytest.MonkeyPatch) -> None:
    def ended(self: Ingests, node: Node, *, halted: bool = False) -> bool:
        node.pending = None
        return original(self, node, halted=halted)

    original = Ingests.ended
    patch.setattr(Ingests, "ended", ended)


@planted
def failed_unit_counts_as_settled(patch: pytest.MonkeyPatch) -> None:
    def floor(self: History, epoch: int, output: int) -> int:
        del output
        for interval in reversed(self.intervals):
            if interval.start <= epoch:
                held = interval.states[0] is Gone.HELD
                return min(epoch, OPEN if held else interval.end)
        return 0

    patch.setattr(History, "floor", floor)


@planted
def change_during_a_run_is_forgotten_at_its_end(patch: pytest.MonkeyPatch) -> None:
    def settle(self: Node, epoch: int, states: tuple[Any, ...], keep: set[int]) -> None:
        if self.running is None:
            self.dirty = ()
        original(self, epoch, states, keep)

    original = Node.settle
    patch.setattr(Node, "settle", settle)


@planted
def inputs_are_read_at_their_newest(patch: pytest.MonkeyPatch) -> None:
    def at(self: History, epoch: int) -> tuple[Any, ...] | None:
        del epoch
        return self.latest

    patch.setattr(History, "at", at)


@planted
def deleted_unit_stays_in_the_whole(patch: pytest.MonkeyPatch) -> None:
    def at(self: History, epoch: int) -> tuple[Any, ...] | None:
        states = original(self, epoch)
        past = self.intervals
        if states is not None and Gone.DELETED in states and len(past) > 1:
            return past[-2].states
        return states

    original = History.at
    patch.setattr(History, "at", at)


@planted
def columns_that_are_not_read_count(patch: pytest.MonkeyPatch) -> None:
    """Early cutoff by the whole table: units run though nothing that they read has changed."""

    def key(node: Node, pinned: Any, code: str) -> str:
        parts = [(k, part.fingerprint) for item in pinned for k, part in item.parts]
        return repr((code, node.key, parts))

    patch.setattr(known, "run_key", key)


@pytest.mark.parametrize("name", sorted(planted))
def test_planted_bug_is_found(name: str) -> None:
    check_found(planted[name], CASES)
