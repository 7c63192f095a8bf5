"""A scan that something holds up holds up no answer."""

from typing import Any

import anyio
import pytest

from afresh.daemon.controls import DaemonControls
from support.clock import simulated_clock


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return simulated_clock()


class Slow:
    """Sensors whose scan takes so long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def scan(self, name: str, *, accept: bool) -> int:
        assert (name, accept) == ("", False)
        await anyio.sleep(self.seconds)
        return 0


async def heads_done(_assets: set[str] | None) -> None:
    """Nothing is looked at again."""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("takes", "limit", "left", "took"),
    [(2.0, 5.0, 3.0, 2.0), (1000.0, 5.0, 0.0, 5.0), (1000.0, None, None, 1000.0)],
)
async def test_a_scan_takes_no_longer_than_the_time(
    takes: float, limit: float | None, left: float | None, took: float
) -> None:
    nothing: Any = None
    sensors: Any = Slow(takes)
    controls = DaemonControls(nothing, sensors, nothing, nothing, nothing, heads_done=heads_done)
    began_at = anyio.current_time()
    assert await controls.scan_all(limit) == pytest.approx(left)
    assert anyio.current_time() - began_at == pytest.approx(took)
