"""When what is due."""

from afresh.sensors.schedule import Schedule


def test_the_earliest_is_first_and_each_is_taken_once() -> None:
    schedule = Schedule()
    assert schedule.next_at() is None
    schedule.put("b", 2.0)
    schedule.put("a", 1.0)
    schedule.put("c", 3.0)
    assert schedule.next_at() == 1.0
    assert schedule.take(2.0) == ["a", "b"]
    assert schedule.take(2.0) == []
    assert schedule.next_at() == 3.0


def test_the_last_time_put_holds() -> None:
    schedule = Schedule()
    schedule.put("a", 1.0)
    schedule.put("a", 5.0)
    assert schedule.take(4.0) == []
    schedule.put("a", 2.0)
    assert schedule.take(4.0) == ["a"]
    assert schedule.next_at() is None


def test_what_is_removed_is_never_due() -> None:
    schedule = Schedule()
    schedule.put("a", 1.0)
    schedule.remove("a")
    schedule.remove("b")
    assert schedule.take(9.0) == []
    schedule.put("a", 1.0)
    assert schedule.take(9.0) == ["a"]
