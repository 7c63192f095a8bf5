"""Gives back what the start-up needed for a moment: a daemon runs for months in what is left."""

import ctypes
import gc


def release_memory() -> None:
    """Collect, keep what lives out of later collections, and return free pages to the system."""
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)
