"""Loops through outside writes: depth grows by one each time round, and by nothing else."""

from typing import Any

import pytest

from afresh.assets.manifest import Function, Manifest, Output
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import build_topology
from afresh.daemon.loops import GRACE_SECONDS, MOST_REMEMBERED, MOST_ROUNDS, Loops

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
