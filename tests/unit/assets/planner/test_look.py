"""The states of a unit, each as the planner comes to it."""

from random import Random
from typing import Literal

import pytest

from afresh.assets.planner.look import Looks
from afresh.assets.planner.view import UnitView
from support.oracle import FunctionSpec, GraphSpec, Read, SourceSpec, Value
from support.simulator import World

OnDelete = Literal["keep", "propagate", "fail"]
ONE, BAD = Value("1", "0"), None


def world(
    on_delete: OnDelete = "keep", fails: Literal["never", "raises", "rejects"] = "never"
) -> World:
    spec = GraphSpec(
        (SourceSpec("s", on_delete=on_delete),),
        (
            FunctionSpec(("own",), (Read("s", own=True),), partitioned=True),
            FunctionSpec(("all",), (Read("own"),), fails=fails),
            FunctionSpec(("end",), (Read("all"),)),
        ),
    )
    return World(spec, Random(1), seconds=dict.fromkeys(("s", "own", "all", "end"), 1.0))


def look(it: World, asset: str, key: str = "") -> UnitView:
    return Looks(it.planner).look(asset, key, it.now)


def test_missing_then_running_then_fresh() -> None:
    it = world()
    assert look(it, "all").state == "missing"
    it.arrive(("s", "k0", ONE))
    assert look(it, "s", "k0").state == "running"
    assert look(it, "all").state == "stale"
    it.advance(1.5)
    assert (look(it, "own", "k0").state, look(it, "all").state) == ("running", "stale")
    it.drain()
    for asset, key in Looks(it.planner).units():
        view = look(it, asset, key)
        assert (view.state, view.version, view.epoch) == ("fresh", 1, it.planner.epoch)


def test_arrival_that_waits_is_stale() -> None:
    it = world()
    it.workers = 0
    it.arrive(("s", "k0", ONE))
    view = look(it, "s", "k0")
    assert view.state == "stale"
    assert view.reasons[0].event == 2, "the definitions took the first number"


def test_rejected_source_is_failed_and_keeps_its_version() -> None:
    it = world()
    it.arrive(("s", "k0", ONE))
    it.drain()
    it.arrive(("s", "k0", BAD))
    it.drain()
    view = look(it, "s", "k0")
    assert (view.state, view.version, view.reasons[0].kind) == ("failed", 1, "rejected")
    assert look(it, "all").state == "fresh"


def test_failed_and_blocked() -> None:
    it = world(fails="raises")
    for i in range(40):
        it.arrive(("s", "k0", Value(str(i), "0")))
        it.drain()
        if look(it, "all").state == "failed":
            break
    assert look(it, "all").reasons[0].detail == "boom"
    blocked = look(it, "end")
    assert (blocked.state, blocked.reasons[0].ref) == ("blocked", "all")


def test_paused_and_blocked_by_a_pause() -> None:
    it = world()
    it.arrive(("s", "k0", ONE))
    it.drain()
    it.pause("all")
    it.arrive(("s", "k0", Value("2", "0")))
    it.drain()
    assert look(it, "all").state == "paused"
    assert look(it, "end").state == "blocked"
    assert "paused" in look(it, "end").reasons[0].detail


@pytest.mark.parametrize(("on_delete", "state"), [("keep", "fresh"), ("propagate", "fresh")])
def test_deleted_is_named(on_delete: OnDelete, state: str) -> None:
    it = world(on_delete)
    it.arrive(("s", "k0", ONE), ("s", "k1", ONE))
    it.drain()
    it.arrive(("s", "k0", BAD), deleted=True)
    it.drain()
    view = look(it, "s", "k0")
    assert (view.state, view.reasons[0].kind) == (state, "deleted")
    assert look(it, "all").state == "fresh"
    assert look(it, "all").version == (2 if on_delete == "propagate" else 1)


def test_deleted_with_fail_blocks_its_readers() -> None:
    it = world("fail")
    it.arrive(("s", "k0", ONE))
    it.drain()
    it.arrive(("s", "k0", BAD), deleted=True)
    it.drain()
    assert look(it, "own", "k0").state == "blocked"
    assert look(it, "own", "k0").reasons[0].ref == "s[k0]"
    assert look(it, "end").state == "blocked"


@pytest.mark.parametrize("restarted", [False, True])
def test_what_is_left_of_units_that_are_all_deleted_is_kept_and_named(*, restarted: bool) -> None:
    spec = GraphSpec(
        (SourceSpec("s", on_delete="propagate"), SourceSpec("t")),
        (
            FunctionSpec(("all",), (Read("s"),)),
            FunctionSpec(("end",), (Read("all"),)),
            FunctionSpec(("join",), (Read("all"), Read("t"))),
        ),
    )
    it = World(spec, Random(1), seconds=dict.fromkeys(("s", "t", "all", "end", "join"), 1.0))
    it.arrive(("s", "k0", ONE))
    it.arrive(("t", "k0", ONE))
    it.drain()
    it.arrive(("s", "k0", BAD), deleted=True)
    it.drain()
    if restarted:
        it.restart()
        it.drain()
    for asset in ("all", "end", "join"):
        view = look(it, asset)
        assert (view.state, view.version, view.reasons[0].kind) == ("fresh", 1, "deleted"), asset
    it.arrive(("t", "k0", Value("2", "0")))
    it.drain()
    assert (look(it, "join").state, look(it, "end").state) == ("blocked", "fresh")
    it.arrive(("s", "k1", ONE))
    it.drain()
    assert {view.reasons for view in (look(it, name) for name in ("all", "end", "join"))} == {()}


def test_unknown_unit() -> None:
    with pytest.raises(KeyError):
        look(world(), "own", "nothing")


def both(on_delete: OnDelete = "propagate", *, workers: int = 2) -> World:
    a, b = SourceSpec("a"), SourceSpec("b", on_delete=on_delete)
    spec = GraphSpec(
        (a, b),
        (
            FunctionSpec(("both",), (Read("a", own=True), Read("b", own=True)), partitioned=True),
            FunctionSpec(("next",), (Read("both", own=True), Read("b", own=True)), True),
            FunctionSpec(("end",), (Read("both"),)),
        ),
    )
    it = World(spec, Random(1), seconds=dict.fromkeys(("a", "b", "both", "next", "end"), 1.0))
    it.workers = workers
    return it


@pytest.mark.parametrize("restarted", [False, True])
def test_a_unit_that_never_was_goes_with_what_it_was_named_after(*, restarted: bool) -> None:
    it = both()
    it.arrive(("b", "k3", ONE))
    it.drain()
    waiting = [look(it, *unit).state for unit in (("both", "k3"), ("next", "k3"), ("end", ""))]
    assert waiting == ["blocked"] * 3
    it.arrive(("b", "k3", BAD), deleted=True)
    it.drain()
    if restarted:
        it.restart()
        it.drain()
    for asset in ("both", "next"):
        view = look(it, asset, "k3")
        assert (view.state, view.version, view.reasons[0].kind) == ("fresh", None, "deleted")
    assert look(it, "end").state == "missing"
    it.arrive(("b", "k3", ONE))
    it.drain()
    assert look(it, "both", "k3").state == "blocked", "it is there again"
    it.arrive(("a", "k3", ONE))
    it.drain()
    assert {look(it, *unit).state for unit in Looks(it.planner).units()} == {"fresh"}


@pytest.mark.parametrize("on_delete", ["keep", "fail"])
def test_a_unit_still_waits_where_a_deletion_does_not_propagate(on_delete: OnDelete) -> None:
    it = both(on_delete)
    it.arrive(("b", "k3", ONE))
    it.drain()
    it.arrive(("b", "k3", BAD), deleted=True)
    it.drain()
    assert look(it, "both", "k3").state == "blocked"


def test_a_condition_that_waits_names_the_inputs_that_it_waits_for() -> None:
    reads = (Read("a"), Read("b"), Read("c"))
    m = FunctionSpec(("m",), reads, refresh="all_new", named=("a", "c"))
    sources = tuple(SourceSpec(name, partitioned=False) for name in ("a", "b", "c"))
    it = World(GraphSpec(sources, (m,)), Random(1))
    for name in ("a", "b", "c"):
        it.arrive((name, "", ONE))
    it.drain()
    it.arrive(("a", "", Value("2", "0")))
    it.drain()
    (reason,) = look(it, "m").reasons
    assert reason.detail.endswith(": nothing new from c")


def test_a_freshness_that_cannot_be_met_names_what_it_waits_for() -> None:
    m = FunctionSpec(("m",), (Read("up"),), refresh="freshness")
    up = FunctionSpec(("up",), (Read("a"),))
    it = World(GraphSpec((SourceSpec("a", partitioned=False),), (up, m)), Random(1))
    it.arrive(("a", "", ONE))
    it.drain()
    it.pause("up")
    it.arrive(("a", "", Value("2", "0")))
    it.advance(60.0)
    (reason,) = look(it, "m").reasons
    assert reason.detail.endswith(": it had to start, but needs up, which is paused")
    it.resume_all()
    it.drain()
    assert look(it, "m").version == 2
