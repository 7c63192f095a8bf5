"""A clock that jumps over what nobody works in: hours of waiting take no time."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import trio.testing


def simulated_clock() -> tuple[str, dict[str, Any]]:
    """Give the backend with such a clock, as the fixture `anyio_backend` does."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0.0)}


def run_simulated(main: Callable[..., Awaitable[None]], *given: Any) -> None:
    """Run on such a clock."""
    backend, options = simulated_clock()
    anyio.run(main, *given, backend=backend, backend_options=options)
