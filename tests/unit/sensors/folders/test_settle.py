"""Debounce: a path is complete when it has been the same for long enough."""

from afresh.sensors.base import Identity
from afresh.sensors.folders.settle import Settling

ONE, TWO = Identity(1, 1, 1, 1), Identity(1, 2, 2, 2)


def test_a_path_settles_when_it_has_not_changed_for_its_patience() -> None:
    settling = Settling()
    assert not settling.look("a", ONE, 10.0, 1.0)
    assert settling.next_at() == 11.0
    assert settling.due(10.9, 9) == []
    assert settling.due(11.0, 9) == ["a"]
    assert settling.look("a", ONE, 11.0, 1.0)
    assert "a" not in settling


def test_a_change_starts_the_wait_anew() -> None:
    settling = Settling()
    settling.look("a", ONE, 10.0, 1.0)
    assert not settling.look("a", TWO, 10.9, 1.0)
    assert settling.due(11.5, 9) == []
    assert settling.due(11.9, 9) == ["a"]


def test_what_is_known_to_have_been_stable_waits_less() -> None:
    settling = Settling()
    assert settling.look("a", ONE, 10.0, 1.0, stable_for=1.0)
    assert not settling.look("b", ONE, 10.0, 1.0, stable_for=0.4)
    assert settling.due(10.6, 9) == ["b"]


def test_a_look_between_does_not_start_the_wait_anew() -> None:
    settling = Settling()
    settling.look("a", ONE, 10.0, 1.0)
    settling.look("a", ONE, 10.5, 1.0)
    assert settling.due(11.0, 9) == ["a"]
    assert settling.due(12.0, 9) == []


def test_what_is_forgotten_is_not_due() -> None:
    settling = Settling()
    settling.look("a", ONE, 10.0, 1.0)
    settling.forget("a")
    settling.forget("b")
    assert settling.due(20.0, 9) == []
    assert len(settling) == 0


def test_due_gives_no_more_than_asked_for() -> None:
    settling = Settling()
    for name in "abc":
        settling.look(name, ONE, 10.0, 1.0)
    assert settling.due(11.0, 2) == ["a", "b"]
    assert settling.due(11.0, 2) == ["c"]
