"""The line of a frame, found without walking its code's table."""

import sys

from afresh.assets.lines import line_of


def here() -> tuple[int, int]:
    frame = sys._getframe(1)
    return line_of(frame), frame.f_lineno


def test_it_is_the_frames_line_wherever_it_stands() -> None:
    first = here()
    second = [here() for _ in range(2)]
    third = (
        here(),
        here(),
    )
    for found, expected in (first, *second, *third):
        assert found == expected
    assert len({first[0], second[0][0], third[0][0], third[1][0]}) == 4


def test_a_module_of_many_lines() -> None:
    text = "".join(f"\n\nfound.append((here(), {line}))" for line in range(3, 903, 2))
    found: list[tuple[tuple[int, int], int]] = []
    exec(compile(text, "many.py", "exec"), {"here": here, "found": found})  # noqa: S102
    assert len(found) == 450
    for (ours, theirs), line in found:
        assert ours == theirs == line
