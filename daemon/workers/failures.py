"""An exception as what the daemon is told of it, and as what the run's log shows."""

import os
import sys
import traceback
from typing import Literal

from afresh.assets.errors import (
    AfreshError,
    ChangedData,
    InvalidData,
    StorageUnavailable,
    UnreadableData,
)
from afresh.daemon.workers.modules import last_place
from afresh.daemon.workers.task import Failed

_LONGEST = 500


def failure(error: BaseException, snapshot: str, project: str) -> tuple[Failed, str]:
    """Say what failed, and why the worker must not go on ("": it may); the log gets all."""
    show(error, snapshot, project)
    where = last_place(error.__traceback__, snapshot)
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    place = str(where) if where is not None else ""
    message = line_of(error)
    if isinstance(error, MemoryError):
        hint = "read fewer columns or partitions, or give the machine more memory"
        return Failed("memory", f"out of memory: {message}", hint, place, name), "out of memory"
    if isinstance(error, SystemExit):
        message = f"the function ended itself: sys.exit({error.code!r})"
        return Failed("exited", message, "raise an exception instead", place, name), ""
    if isinstance(error, AfreshError) and where is None:
        failed = Failed(_kind(error), line_of(error.error), error.hint, error.where, name)
        return failed, ""
    retire = "" if isinstance(error, Exception) else f"{name} was raised"
    return Failed("raised", message, "", place, name), retire


def _kind(error: AfreshError) -> Literal["unreadable", "changed", "raised", "storage", "internal"]:
    match error:
        case UnreadableData():
            return "unreadable"
        case ChangedData():
            return "changed"
        case InvalidData():
            return "raised"
        case StorageUnavailable():
            return "storage"
        case _:
            return "internal"


def line_of(error: object) -> str:
    """Give the error in one line that is not too long."""
    try:
        text = str(error).strip()
    except Exception:  # noqa: BLE001 - an exception of user code may be wrong itself
        text = "its text cannot be had"
    if isinstance(error, BaseException):
        name = type(error).__name__
        text = f"{name}: {text}" if text else name
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    first, _, more = text.partition("\n")
    if more:
        first += " ..."
    return first if len(first) <= _LONGEST else first[: _LONGEST - 3] + "..."


def show(error: BaseException, snapshot: str, project: str) -> None:
    """Print the traceback from the project's first line on, with the project's paths."""
    trace = error.__traceback__
    inside = snapshot + os.sep
    first = trace
    while first is not None and not first.tb_frame.f_code.co_filename.startswith(inside):
        first = first.tb_next
    text = "".join(traceback.format_exception(type(error), error, first or trace))
    text = text.replace(inside, project + os.sep)
    try:
        sys.stdout.flush()
        sys.stderr.write(text)
    except Exception:  # noqa: BLE001 - user code may have closed or replaced them
        os.write(2, text.encode("utf-8", "backslashreplace"))
