"""Gives back what the start-up needed for a moment: a daemon runs for months in what is left."""

import ctypes
import gc

YOUNG = 50_000


def release_memory() -> None:
    """Collect, keep what lives out of later collections, and return free pages to the system."""
    gc.collect()
    gc.freeze()
    # Runs make thousands of small objects that stay: looking at them again and again finds nothing.
    gc.set_threshold(YOUNG, 20, 20)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)
