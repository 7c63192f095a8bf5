"""The difference of two listings."""

import pytest

from afresh.sensors.base import Identity
from afresh.sensors.listing import gone, is_suspicious

ONE = Identity(1, 1, 1, 1)


def test_gone_is_what_is_known_and_not_found() -> None:
    assert gone(["a", "b", "c"], {"b": ONE, "d": ONE}) == ["a", "c"]
    assert gone([], {"b": ONE}) == []


@pytest.mark.parametrize(
    ("gone_count", "known_count", "suspicious"),
    [(0, 0, False), (0, 5, False), (1, 2, False), (2, 3, True), (1, 1, True), (51, 100, True)],
)
def test_more_than_half_is_suspicious(gone_count: int, known_count: int, suspicious: bool) -> None:
    assert is_suspicious(gone_count, known_count) is suspicious
