import pytest

from afresh.assets.duration import seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3.0), (0.5, 0.5), ("500ms", 0.5), ("30s", 30.0), (" 5 m ", 300.0), ("1.5h", 5400.0)],
)
def test_seconds(value: object, expected: float) -> None:
    assert seconds(value) == expected


@pytest.mark.parametrize("value", ["30", "s", "-1s", "1s 2m", -1, float("nan"), True, None, []])
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="Expected seconds"):
        seconds(value)
