"""What the planner does in single cases that random play found."""

from random import Random
from typing import Any

import pytest

from afresh.assets.planner import known
from afresh.assets.planner.content import Gone
from afresh.assets.planner.runkey import run_key
from support.oracle import FunctionSpec, GraphSpec, Read, SourceSpec, Value
from support.simulator import World

ONE, TWO = Value("1", "0"), Value("2", "0")


def world(*parts: SourceSpec | FunctionSpec, **more: Any) -> World:
    spec = GraphSpec(
        tuple(p for p in parts if isinstance(p, SourceSpec)),
        tuple(p for p in parts if isinstance(p, FunctionSpec)),
    )
    return World(spec, Random(1), seconds={}, **more)


def test_deletion_of_what_was_rejected_takes_an_epoch() -> None:
    it = world(SourceSpec("s", on_delete="propagate", on_reject="hold"))
    it.arrive(("s", "k0", ONE))
    it.drain()
    it.arrive(("s", "k0", None), deleted=True)
    it.drain()
    it.arrive(("s", "k0", None))
    it.drain()
    before = it.planner.epoch
    it.arrive(("s", "k0", None), deleted=True)
    it.drain()
    assert it.planner.epoch == before + 1
    it.check_rest()


def test_second_rejection_is_no_change() -> None:
    it = world(SourceSpec("s", on_reject="hold"))
    it.arrive(("s", "k0", ONE))
    it.drain()
    it.arrive(("s", "k0", None))
    it.drain()
    before = it.planner.epoch
    it.arrive(("s", "k0", None))
    it.drain()
    assert it.planner.epoch == before


def test_epoch_of_a_holding_rejection_outlasts_a_restart() -> None:
    it = world(SourceSpec("s", on_reject="hold"))
    it.arrive(("s", "k0", ONE))
    it.drain()
    it.arrive(("s", "k0", None))
    it.drain()
    before = it.planner.epoch
    it.restart()
    assert it.planner.epoch > before


def test_run_for_new_code_names_the_event_of_the_definitions() -> None:
    it = world(SourceSpec("s"), FunctionSpec(("f",), (Read("s"),)))
    it.arrive(("s", "k0", ONE))
    it.drain()
    it.reload("f")
    it.drain()
    kind, event = it.tally.runs("f")[-1].cause
    assert kind == "code"
    assert event is not None


def test_request_during_a_run_is_kept() -> None:
    it = world(SourceSpec("s"), FunctionSpec(("f",), (Read("s"),)))
    it.seconds = {"f": 1.0}
    it.arrive(("s", "k0", ONE))
    it.advance(0.5)
    it.request(("f", ""), force=True)
    it.drain()
    assert [run.cause[0] for run in it.tally.runs("f")] == ["arrived", "request"]


@pytest.mark.parametrize("order", [("s", "t"), ("t", "s")])
def test_deleted_wins_over_missing_in_any_order(order: tuple[str, str]) -> None:
    reads = tuple(Read(name, own=name == "s") for name in order)
    it = world(
        SourceSpec("s", on_delete="propagate"),
        SourceSpec("t", on_delete="propagate"),
        FunctionSpec(("f",), reads, partitioned=True),
    )
    it.arrive(("s", "k0", ONE), ("t", "k0", ONE))
    it.drain()
    it.arrive(("t", "k0", None), deleted=True)
    it.arrive(("s", "k0", None), deleted=True)
    it.drain()
    node = it.planner.graph.nodes["f"]["k0"]
    assert node.history.latest == (Gone.DELETED,)
    it.check_rest()


def test_unit_that_comes_back_is_deleted_no_more() -> None:
    it = world(
        SourceSpec("s", on_delete="propagate"),
        FunctionSpec(("f",), (Read("s", own=True),), partitioned=True),
    )
    it.arrive(("s", "k0", ONE))
    it.drain()
    it.arrive(("s", "k0", None), deleted=True)
    it.drain()
    assert it.planner.graph.nodes["f"]["k0"].deleted
    it.arrive(("s", "k0", TWO))
    it.drain()
    assert not it.planner.graph.nodes["f"]["k0"].deleted


def test_join_of_what_does_not_exist_gives_its_cut_up() -> None:
    """A cut at which an input has no unit is given up; the next arrival makes a new one."""
    it = world(
        SourceSpec("s", partitioned=False),
        SourceSpec("t"),
        FunctionSpec(("slow",), (Read("s"),)),
        FunctionSpec(("join",), (Read("slow"), Read("t"))),
    )
    it.seconds = {"slow": 3.0}
    it.arrive(("s", "", ONE))
    it.advance(1.5)
    it.arrive(("t", "k0", ONE))
    it.arrive(("s", "", TWO))
    it.drain()
    it.check_rest()
    assert it.planner.graph.nodes["join"][""].heads[0] is not None


def test_pause_of_what_waits_lets_nobody_wait_for_it() -> None:
    it = world(
        SourceSpec("s"),
        FunctionSpec(("f",), (Read("s"),)),
        FunctionSpec(("g",), (Read("f"), Read("s"))),
    )
    it.arrive(("s", "k0", ONE), ("s", "k1", ONE))
    it.pause("f")
    it.drain()
    assert it.planner.idle
    it.check_rest()
    it.resume_all()
    it.drain()
    it.check_rest()
    assert len(it.tally.runs("f")) == 1


def test_dirty_is_bounded_while_a_unit_is_held_up() -> None:
    it = world(
        SourceSpec("s", partitioned=False), FunctionSpec(("f",), (Read("s"),)), durable=False
    )
    it.arrive(("s", "", ONE))
    it.drain()
    it.pause("f")
    for i in range(600):
        it.arrive(("s", "", Value(str(i), "0")))
        it.advance(0.1)
    assert len(it.planner.graph.nodes["f"][""].dirty) <= 256
    it.resume_all()
    it.drain()
    it.check_rest()


def test_burst_is_looked_through_a_few_times_not_once_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = world(SourceSpec("s"), FunctionSpec(("f",), (Read("s"),)), workers=1)
    looked = 0

    def count(*args: Any) -> str:
        nonlocal looked
        looked += 1
        return run_key(*args)

    monkeypatch.setattr(known, "run_key", count)
    it.arrive(*[("s", f"k{i:03}", ONE) for i in range(200)])
    it.drain()
    it.check_rest()
    assert 1 <= looked <= 10


def test_force_ends_with_what_it_was_asked_for() -> None:
    it = world(
        SourceSpec("s", on_delete="propagate"),
        FunctionSpec(("f",), (Read("s", own=True),), partitioned=True),
    )
    it.arrive(("s", "k0", ONE))
    it.drain()
    it.arrive(("s", "k0", None), deleted=True)
    it.drain()
    it.request(("f", "k0"), force=True)
    it.drain()
    it.arrive(("s", "k0", ONE))
    it.drain()
    assert len(it.tally.runs("f")) == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_a_unit_that_is_resumed_goes_on_though_its_asset_is_paused(*, restarted: bool) -> None:
    it = world(SourceSpec("s"), FunctionSpec(("f",), (Read("s", own=True),), partitioned=True))
    it.arrive(("s", "k0", ONE), ("s", "k1", ONE))
    it.drain()
    it.pause("f", "k1")
    it.pause("f")
    it.pause("f", "k0", on=False)
    if restarted:
        it.restart()
    it.arrive(("s", "k0", TWO), ("s", "k1", TWO), ("s", "k2", TWO))
    it.drain()
    paused = {node.key: node.paused for node in it.planner.graph.nodes["f"].values()}
    assert paused == {"k0": False, "k1": True, "k2": True}
    it.pause("f", on=False)
    if restarted:
        it.restart()
    it.drain()
    assert not any(node.paused for node in it.planner.graph.nodes["f"].values())
    assert it.planner.graph.nodes["f"]["k2"].heads[0] is not None
