"""What was said of a path, and what anybody was told of it."""

from afresh.sensors.base import Arrival
from afresh.sensors.offers import Offers


def arrival(kind: str = "arrived", key: str | None = "k") -> Arrival:
    return Arrival("a", kind, key, 1.0)  # type: ignore[arg-type]


def test_what_is_said_last_stands_and_waits_at_the_end() -> None:
    offers: Offers[int] = Offers()
    offers.put("a", arrival(), 1)
    offers.put("b", arrival(), 1)
    offers.put("a", arrival(), 2)
    assert (len(offers), offers.current("a"), offers.first, offers.last) == (2, 2, 2, 3)
    assert [offer.state for offer in offers.take(9).values()] == [1, 2]
    assert offers.withdraw("b")
    assert not offers.withdraw("b")
    assert offers.current("b") is None
    offers.acknowledge(offers.take(9))
    assert (len(offers), offers.known, offers.acknowledged) == (0, {"a": 2}, 1)
    assert offers.first > offers.last


def test_what_changes_on_its_way_waits_for_the_next() -> None:
    offers: Offers[int] = Offers()
    offers.put("a", arrival(), 1)
    taken = offers.take(9)
    assert offers.was_told("a")
    offers.put("a", arrival("deleted"), None)
    offers.acknowledge(taken)
    assert (offers.known, offers.current("a"), len(offers)) == ({"a": 1}, None, 1)
    offers.acknowledge(offers.take(9))
    assert offers.known == {}
    assert not offers.was_told("a")


def test_what_matches_nothing_is_not_known() -> None:
    offers: Offers[int] = Offers()
    offers.put("a", arrival(key=None), 1)
    offers.acknowledge(offers.take(9))
    assert offers.known == {}


def test_of_what_may_be_recorded_a_deletion_is_told() -> None:
    offers: Offers[int] = Offers()
    offers.known["old"] = 1
    offers.put("new", arrival(), 1)
    offers.put("old", arrival("deleted"), None)
    offers.take(9)
    assert offers.was_told("new")
    assert not offers.was_told("old")
    offers.doubt()
    assert offers.was_told("new")
    assert offers.was_told("old")
    assert len(offers) == 2
