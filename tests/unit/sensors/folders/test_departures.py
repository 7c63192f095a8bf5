"""Paths that are said to be gone are looked at when no more are going."""

import pytest

from afresh.sensors.folders.departures import QUIET_AT_MOST_SECONDS, QUIET_SECONDS, Departures


def test_nothing_is_due_where_nothing_went() -> None:
    departures = Departures()
    assert departures.next_at() is None
    assert departures.take_due(1e9) == []


def test_they_are_due_together_when_it_is_quiet() -> None:
    departures = Departures()
    departures.add("a", 10.0)
    departures.add("b", 10.05)
    assert departures.next_at() == pytest.approx(10.05 + QUIET_SECONDS)
    assert departures.take_due(10.1) == []
    assert departures.take_due(10.2) == ["a", "b"]
    assert departures.next_at() is None


def test_a_steady_flow_is_not_waited_for_for_ever() -> None:
    departures = Departures()
    now = 0.0
    while not (taken := departures.take_due(now)):
        departures.add(str(now), now)
        now += QUIET_SECONDS / 2
        assert now <= 2 * QUIET_AT_MOST_SECONDS
    assert taken[0] == "0.0"
    assert now == pytest.approx(QUIET_AT_MOST_SECONDS, abs=QUIET_SECONDS)


def test_what_came_back_is_not_among_them() -> None:
    departures = Departures()
    departures.add("a", 0.0)
    departures.add("b", 0.0)
    departures.discard("a")
    departures.discard("c")
    assert "a" not in departures
    assert "b" in departures
    assert departures.take_due(1.0) == ["b"]
