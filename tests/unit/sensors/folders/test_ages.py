"""How long a file has been as it is, on a clock that is set."""

import anyio
import pytest
import trio.testing

from afresh.sensors.base import Identity
from afresh.sensors.folders.ages import Ages


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Clock:
    """Goes with the monotonic one, and may be set."""

    def __init__(self) -> None:
        self.ahead = 1_800_000_000.0

    def __call__(self) -> float:
        return anyio.current_time() + self.ahead

    def written(self) -> Identity:
        return Identity(1, 1, 0, round(self() * 1e9))


@pytest.mark.parametrize("set_by", [3600.0, -3600.0])
async def test_a_file_is_as_old_as_it_was_when_the_clock_is_set(set_by: float) -> None:
    clock = Clock()
    ages = Ages(clock)
    file = clock.written()
    await anyio.sleep(2)
    assert ages.stable_seconds(file) == pytest.approx(2)
    clock.ahead += set_by
    assert ages.stable_seconds(file) == 0
    await anyio.sleep(3)
    assert ages.stable_seconds(file) < 3.001
    later = clock.written()
    await anyio.sleep(1)
    assert ages.stable_seconds(later) == pytest.approx(1)


async def test_a_file_of_the_future_has_no_age() -> None:
    clock = Clock()
    file = clock.written()
    clock.ahead -= 60
    ages = Ages(clock)
    assert ages.age(file) == pytest.approx(-60)
    assert ages.stable_seconds(file) == 0
