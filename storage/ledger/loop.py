"""Calling into an event loop from a thread without waiting for it, on asyncio and on trio."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from anyio.lowlevel import current_token

Post = Callable[[Callable[[], None]], None]


def loop_poster() -> Post:
    """Return what runs a function soon in the present loop; after the loop's end it does nothing.

    anyio's own `from_thread` waits for the answer; the loops' ways of not waiting differ in name.
    """
    native: Any = current_token().native_token
    call: Callable[[Callable[[], None]], Any] = (
        native.run_sync_soon if hasattr(native, "run_sync_soon") else native.call_soon_threadsafe
    )

    def post(function: Callable[[], None]) -> None:
        # asyncio: the loop is closed; trio: RunFinishedError, a RuntimeError too.
        with suppress(RuntimeError):
            call(function)

    return post
