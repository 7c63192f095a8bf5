"""Removes what is kept only for a time: rejected data and the output of old runs."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.to_thread

from afresh.daemon.config import Settings

_log = logging.getLogger("afresh.housekeeping")
INTERVAL_SECONDS = 3600.0
KEEP_LOGS_SECONDS = 30 * 86400.0
_OPEN = ("base.log", "sensor-")
"""Logs of processes that live for months: what one says next would go to a file without a name."""


async def keep_house(settings: Settings, now: Callable[[], float]) -> None:
    """Sweep once an hour until cancelled; the loop is not blocked by it."""
    state = Path(settings.state)
    while True:
        for folder, seconds, kept in (
            (state / "rejected", settings.keep_rejected_seconds, ()),
            (state / "logs", KEEP_LOGS_SECONDS, _OPEN),
        ):
            count = await anyio.to_thread.run_sync(sweep, folder, now() - seconds, kept)
            if count:
                _log.info("removed %d old files of %s", count, folder)
        await anyio.sleep(INTERVAL_SECONDS)


def sweep(folder: Path, before: float, kept: tuple[str, ...] = ()) -> int:
    """Remove the files below a folder that were last written before a time; how many they were.

    Not those whose names begin with one of `kept`. What cannot be removed is left for the next
    time. Links are removed, never followed.
    """
    count = 0
    for path in _old_files(folder, before):
        if path.name.startswith(kept):
            continue
        try:
            path.unlink()
        except OSError as error:
            _log.warning("cannot remove %s: %s", path, error)
        else:
            count += 1
    return count


def _old_files(folder: Path, before: float) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                old = path.lstat().st_mtime < before
            except OSError:
                continue
            if old:
                yield path
