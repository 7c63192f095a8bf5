from collections.abc import AsyncGenerator
from typing import Any

import pytest

from afresh.assets.errors import DefinitionError
from afresh.sensors import custom

Step = tuple[list[dict[str, int]], int]


async def numbers(cursor: int) -> AsyncGenerator[Step, None]:
    """Yield what a user's generator does."""
    while cursor < 3:
        yield [{"n": cursor}], cursor + 1
        cursor += 1


async def no_generator(cursor: int) -> int:
    return cursor


async def test_a_generator_is_tested_without_a_daemon() -> None:
    assert [step async for step in numbers(1)] == [([{"n": 1}], 2), ([{"n": 2}], 3)]


def test_what_is_declared() -> None:
    declared = custom(numbers, start={"page": 1}, every="5s", timeout="2m").declared()
    assert declared.stream
    assert declared.sensor.kind == "custom"
    assert declared.sensor.options == {
        "module": __name__,
        "name": "numbers",
        "start": '{"page":1}',
        "every_seconds": 5.0,
        "stall_seconds": 60.0,
        "timeout_seconds": 120.0,
        "memory_bytes": 1 << 30,
    }


@pytest.mark.parametrize(
    ("poll", "given"),
    [
        (no_generator, {}),
        (5, {}),
        (numbers, {"start": object()}),
        (numbers, {"every": "soon"}),
        (numbers, {"stall": 0}),
        (numbers, {"timeout": -1}),
        (numbers, {"memory_mb": "1"}),
        (numbers, {"memory_mb": 1}),
    ],
)
def test_what_is_wrong_is_told(poll: Any, given: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="Expected"):
        custom(poll, **given).declared()


def test_a_generator_that_its_process_could_not_find_is_refused() -> None:
    async def inner(cursor: int) -> AsyncGenerator[Step, None]:
        yield [], cursor

    with pytest.raises(DefinitionError, match="at the top of a module"):
        custom(inner).declared()
