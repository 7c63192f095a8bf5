"""All simulations run on a clock that jumps."""

from typing import Any

import pytest

from support.clock import simulated_clock


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return simulated_clock()
