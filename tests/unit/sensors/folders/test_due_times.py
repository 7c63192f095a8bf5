"""When what is due."""

from afresh.sensors.folders.due_times import DueTimes


def test_the_earliest_is_first_and_each_is_taken_once() -> None:
    due_times = DueTimes()
    assert due_times.next_at() is None
    due_times.put("b", 2.0)
    due_times.put("a", 1.0)
    due_times.put("c", 3.0)
    assert due_times.next_at() == 1.0
    assert due_times.take(2.0) == ["a", "b"]
    assert due_times.take(2.0) == []
    assert due_times.next_at() == 3.0


def test_the_last_time_put_holds() -> None:
    due_times = DueTimes()
    due_times.put("a", 1.0)
    due_times.put("a", 5.0)
    assert due_times.take(4.0) == []
    due_times.put("a", 2.0)
    assert due_times.take(4.0) == ["a"]
    assert due_times.next_at() is None


def test_what_is_removed_is_never_due() -> None:
    due_times = DueTimes()
    due_times.put("a", 1.0)
    due_times.remove("a")
    due_times.remove("b")
    assert due_times.take(9.0) == []
    due_times.put("a", 1.0)
    assert due_times.take(9.0) == ["a"]
