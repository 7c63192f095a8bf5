"""Sizes as people write them."""

import pytest

from afresh.assets.size import size


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (7, 7), ("7", 7), ("7B", 7), ("64kB", 64_000), ("64 KiB", 65_536), ("1.5M", 1_500_000),
        ("256MiB", 256 << 20), ("2GB", 2 * 10**9),
    ],
)  # fmt: skip
def test_sizes(text: object, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize("text", [0, -1, True, 1.5, "", "MB", "1TB", "1 Mb", None, "0"])
def test_what_is_none(text: object) -> None:
    with pytest.raises(ValueError, match="Expected a number of bytes"):
        size(text)
