"""Whose trouble it is: owners are those of the definitions in force."""

from types import SimpleNamespace
from typing import Any

import pytest

from afresh.assets.manifest import Function, Manifest, Output, Sensor, Source
from afresh.assets.planner.nodes import Node, Trouble
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import Topology, build_topology
from afresh.daemon.notifiers.troubles import owner_of, tell_health, tell_missed, tell_storm
from afresh.sensors.base import Health

MANIFEST = Manifest(
    "",
    sources=(Source("orders", Sensor("file", {"pattern": "orders.csv"}), owner="ann"),),
    functions=(
        Function(
            "split",
            inputs=(),
            outputs=(
                Output("left", "pandas", owner="bea"),
                Output("right", "pandas", owner="cem"),
            ),
            code_key="",
        ),
    ),
)


class Told:
    """Takes down what alerts are told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def failed(self, subject: str, error: str, why: tuple[str, ...], owner: str) -> None:
        del why
        self.calls.append((subject, error, owner))

    def recovered(self, subject: str, owner: str) -> None:
        self.calls.append((subject, owner))


@pytest.fixture
def reactor() -> Any:
    return SimpleNamespace(planner=Planner(build_topology(MANIFEST)))


@pytest.mark.parametrize(
    ("name", "asset", "owner"),
    [
        ("orders", "orders", "ann"),
        ("split", "left", "bea"),
        ("split", "right", "cem"),
        ("split", "", "bea"),
        ("gone", "", ""),
    ],
)
def test_owner(reactor: Any, name: str, asset: str, owner: str) -> None:
    assert owner_of(reactor.planner.topology.plans.get(name), asset) == owner


def test_a_failed_sensor_is_its_present_owners(reactor: Any) -> None:
    told: Any = Told()
    sensor: Any = SimpleNamespace(name="orders")
    reactor.planner = Planner(Topology())
    tell_health(told, reactor, sensor, Health("failed", error="no folder"))
    reactor.planner = Planner(build_topology(MANIFEST))
    tell_health(told, reactor, sensor, Health("failed", error="no folder"))
    tell_health(told, reactor, sensor, Health("watching"))
    assert told.calls == [
        ("sensor orders", "no folder", ""),
        ("sensor orders", "no folder", "ann"),
        ("sensor orders", "ann"),
    ]


def test_a_storm_is_its_sources_owners(reactor: Any) -> None:
    told: Any = Told()
    tell_storm(told, reactor, "orders", "10/s", 7)
    tell_storm(told, reactor, "orders", "", 0)
    (failed, recovered) = told.calls
    assert failed[0] == "source orders"
    assert "10/s" in failed[1]
    assert (failed[2], recovered) == ("ann", ("source orders", "ann"))


def test_what_a_kill_cut_off_before_it_was_recorded_is_told_at_the_next_start(
    reactor: Any,
) -> None:
    planner = reactor.planner
    reactor.ports = SimpleNamespace(now=lambda: 0.0)
    for name in ("orders", "split"):
        planner.graph.add(Node(planner.topology.plans[name], "", 1))
    planner.graph.get(planner.topology.plans["orders"], "").trouble = Trouble(3, "rejected", "no")
    told: Any = Told()
    told.open_subjects = ["left", "sensor orders", "gone", "orders", "schema of left"]
    tell_missed(told, reactor)
    assert told.calls == [("orders", "no", "ann"), ("left", "bea")]
