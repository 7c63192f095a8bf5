"""Loops through outside writes: depth grows by one each time round, and by nothing else."""

from typing import Any

import pytest

from afresh.assets.manifest import Function, Manifest, Output
from afresh.assets.planner.content import Columns, Content
from afresh.assets.planner.nodes import Attempt, Pinned
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import Edge, build_topology
from afresh.daemon.guards.loops import GRACE_SECONDS, MOST_REMEMBERED, MOST_ROUNDS, Loops
from afresh.sensors.depth import depth_of

OUT = "/p/landing/out.csv"


class World:
    """An asset that is run for each arrival."""

    def __init__(self) -> None:
        function = Function("f", (), (Output("f", "pandas"),), "c")
        self.planner = Planner(build_topology(Manifest("d", (), (function,))))
        (self.node,) = self.planner.graph.nodes["f"].values()
        self.stopped: list[tuple[str, str]] = []
        self.loops = Loops(lambda uri: f"/p/{uri}", self._stop)
        self.now = 100.0
        self.seq = 0

    def _stop(self, name: str, path: str) -> None:
        self.planner.graph.stopped[name] = "loop"
        self.stopped.append((name, path))

    def arrive(self, uri: str = "landing/out.csv", **more: Any) -> int:
        self.seq += 1
        event = {
            "seq": self.seq,
            "uri": uri,
            "kind": "arrived",
            "observed_at": self.now,
            "payload": b"",
            "staged": "",
            "position": "",
            **more,
        }
        self.loops.arrived([event])
        return self.seq

    def run(self, seq: int, *wrote: str, late: bool = False, after: float = 0.0) -> int:
        """A run of that arrival, which writes; the arrival that follows, if it is in the loop."""
        attempt = Attempt(self.node, "run", 1, "k", 1, events=(seq,), started_at=self.now)
        self.now += 1.0
        following = 0 if late else self.arrive()
        self.now += 1.0
        self.loops.ended(attempt, wrote, self.now)
        self.now += after
        return self.arrive() if late else following


@pytest.mark.parametrize("late", [False, True])
def test_asset_that_writes_what_it_comes_from_is_stopped(late: bool) -> None:
    world = World()
    seq = world.arrive()
    rounds = 0
    while not world.stopped:
        seq = world.run(seq, OUT, late=late)
        rounds += 1
        assert rounds < 100
    assert world.stopped == [("f", OUT)]
    assert MOST_ROUNDS < rounds <= MOST_ROUNDS + 2


def test_steady_arrivals_of_others_are_no_loop() -> None:
    world = World()
    seq = world.arrive()
    for _ in range(100):
        seq = world.run(seq, "/p/elsewhere.csv")
    assert not world.stopped


def test_file_that_others_write_later_is_no_loop() -> None:
    world = World()
    seq = world.arrive()
    for _ in range(100):
        seq = world.run(seq, OUT, late=True, after=GRACE_SECONDS + 1.0)
    assert not world.stopped


def test_records_of_streams_have_no_path() -> None:
    world = World()
    seq = world.arrive(position="{}")
    for _ in range(100):
        world.run(seq, OUT)
        seq = world.arrive(position="{}")
    assert not world.stopped


def test_what_goes_on_by_hand_begins_anew() -> None:
    world = World()
    seq = world.arrive()
    while not world.stopped:
        seq = world.run(seq, OUT)
    assert world.loops.resumed(world.planner) == []
    world.planner.graph.stopped.clear()
    assert world.loops.resumed(world.planner) == ["f"]
    rounds = 0
    while len(world.stopped) == 1:
        seq = world.run(seq, OUT)
        rounds += 1
    assert rounds > MOST_ROUNDS


def test_no_more_is_remembered_than_so_much() -> None:
    world = World()
    for number in range(MOST_REMEMBERED + 100):
        world.arrive(f"landing/{number}.csv")
    assert len(world.loops._arrivals) == MOST_REMEMBERED
    assert len(world.loops._of_path) == MOST_REMEMBERED


def test_depth_that_is_told_counts_wherever_it_comes_from() -> None:
    world = World()
    depth = 0
    rounds = 0
    while not world.stopped:
        seq = world.arrive("kafka://t/0/1-2", payload=b"x", position="{}", depth=depth)
        attempt = Attempt(world.node, "run", 1, "k", 1, events=(seq,), started_at=world.now)
        depth = world.loops.depth_of(attempt)
        world.loops.ended(attempt, (), world.now)
        rounds += 1
        assert rounds < 100
    assert world.stopped == [("f", "kafka://t/0/1-2")]
    assert MOST_ROUNDS < rounds <= MOST_ROUNDS + 2
    world.planner.graph.stopped.clear()
    assert world.loops.resumed(world.planner) == ["f"]
    while len(world.stopped) == 1:
        seq = world.arrive("kafka://t/0/1-2", payload=b"x", position="{}", depth=depth)
        attempt = Attempt(world.node, "run", 1, "k", 1, events=(seq,), started_at=world.now)
        depth = world.loops.depth_of(attempt)
        world.loops.ended(attempt, (), world.now)
        rounds += 1
        assert rounds < 100
    assert rounds > 2 * MOST_ROUNDS, "who lets it go on gets as many rounds again"


def test_what_is_told_may_be_nonsense() -> None:
    said = [b"3", b"-1", b"x", b"", None, b"99999999999", b"9" * 5]
    assert [depth_of([("afresh-depth", text)]) for text in said] == [3, 0, 0, 0, 0, 0, 10_000]
    assert depth_of([("other", b"7"), ("ce_afreshdepth", b"2"), ("afresh-depth", b"4")]) == 4


def test_depth_goes_through_versions_between() -> None:
    world = World()
    first = world.arrive(payload=b"x", depth=6)
    world.arrive(payload=b"x")
    source = Attempt(world.node, "ingest", 1, "", 1, events=(first, first + 1), run="r1")
    world.loops.ended(source, (), world.now)
    assert world.loops.depth_of_run("r1") == 6
    above = Attempt(world.node, "run", 1, "", 1, events=(first,), run="r2")
    world.loops.ended(above, (), world.now)
    assert world.loops.depth_of_run("r2") == 7
    content = Content(1, "f", Columns.of({}), event=first, run="r2")
    edge = Edge("p", world.node.plan, 0, "f", own=True, columns=())
    # Of all that came to it the first event alone is known: its run knows the rest.
    pinned = (Pinned(edge, (("", content),)),)
    below = Attempt(world.node, "run", 1, "", 1, pinned, events=(first,), run="r3")
    assert world.loops.depth_of(below) == 7


@pytest.mark.parametrize("late", [False, True])
def test_a_restart_forgets_no_depth(late: bool) -> None:
    world = World()
    seq = world.arrive()
    rounds = 0
    while not world.stopped:
        seq = world.run(seq, OUT, late=late)
        rounds += 1
        assert rounds < 100
        if not world.stopped:
            depths, written = dict(world.loops._depths), dict(world.loops._written)
            world.loops = Loops(lambda uri: f"/p/{uri}", world._stop)
            world.now += 30.0
            world.loops.restore(depths, written, world.now)
            if late:
                seq = world.arrive()
    assert MOST_ROUNDS < rounds <= MOST_ROUNDS + 2
