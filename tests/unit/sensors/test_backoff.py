"""Pauses between tries."""

from random import Random

from afresh.sensors.backoff import Backoff


class Highest(Random):
    def random(self) -> float:
        return 1.0


class Lowest(Random):
    def random(self) -> float:
        return 0.0


def test_a_pause_doubles_up_to_the_longest() -> None:
    backoff = Backoff(Highest(), first_seconds=0.5, longest_seconds=3.0)
    assert [backoff.next_seconds() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_takes_at_most_half_of_it() -> None:
    backoff = Backoff(Lowest(), first_seconds=0.5, longest_seconds=3.0)
    assert [backoff.next_seconds() for _ in range(3)] == [0.25, 0.5, 1.0]


def test_it_begins_anew_after_a_reset() -> None:
    backoff = Backoff(Highest(), first_seconds=0.5, longest_seconds=3.0)
    backoff.next_seconds()
    backoff.next_seconds()
    backoff.reset()
    assert backoff.next_seconds() == 0.5
