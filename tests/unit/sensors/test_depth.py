"""A depth that somebody says: whatever it is, it is a number."""

import pytest

from afresh.sensors.depth import MOST, read_depth


@pytest.mark.parametrize(
    ("said", "depth"),
    [
        ("3", 3),
        (b"3", 3),
        ("999999", MOST),
        ("", 0),
        (None, 0),
        ("-1", 0),
        ("1234567", 0),
        ("\u00b2", 0),
        ("\u0663", 0),
        (b"\xb2", 0),
    ],
)
def test_what_is_no_depth_is_none(said: str | bytes | None, depth: int) -> None:
    assert read_depth(said) == depth
