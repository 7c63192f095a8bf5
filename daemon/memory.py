"""Gives back what was needed for a moment: a daemon runs for months in what is left."""

import ctypes
import gc
from collections.abc import Callable

import anyio

YOUNG = 50_000
INTERVAL_SECONDS = 60.0
MUCH = 10_000
"""New objects of which some thousand runs leave rests, as cycles that only a collection ends."""


def release_memory(*, whole: bool = False) -> None:
    """Collect, keep what lives out of later collections, and return free pages to the system.

    `whole`: what was kept out of them is looked at again.
    """
    if whole:
        gc.unfreeze()
    gc.collect()
    gc.freeze()
    # Runs make thousands of small objects that stay: looking at them again and again finds nothing.
    gc.set_threshold(YOUNG, 20, 20)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)


async def release_when_idle(idle: Callable[[], bool], definitions: Callable[[], str]) -> None:
    """Release the memory of many runs once nothing is to do, until cancelled.

    A collection holds the loop for a tenth of a second: it waits for a minute without work, and
    comes once after thousands of runs. After a change of definitions, which `definitions` names, it
    looks at all: the state before is one cycle of thousands of units.
    """
    resting, released = False, definitions()
    while True:
        await anyio.sleep(INTERVAL_SECONDS)
        rested, resting = resting, idle()
        if not (rested and resting):
            continue
        changed = definitions() != released
        if changed or _young() > MUCH:
            released = definitions()
            release_memory(whole=changed)


def _young() -> int:
    """About how many objects came since the last release."""
    newest, younger, old = gc.get_count()
    return newest + YOUNG * (younger + old)
