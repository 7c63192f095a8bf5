"""Says when a file that definitions are loaded from may have changed on disk."""

import os
from collections.abc import AsyncGenerator
from contextlib import suppress

import anyio
import anyio.to_thread

from afresh.assets.errors import AfreshError
from afresh.daemon.workers.snapshot import SETTINGS, code_folders
from afresh.sensors.folders import notify
from afresh.sensors.folders.notify import Notifications
from afresh.sensors.folders.scan import place_of

QUIET_SECONDS = 0.05
"""An editor writes several files, and each in steps: told when that long nothing more came."""
INTERVAL_SECONDS = 10.0
"""Where notifications are lost or there are none, the files are looked at that often."""


async def code_changes(project: str, state: str) -> AsyncGenerator[None]:
    """A hint each time that code may have changed, and one an interval."""
    notifications = Notifications()
    folders: list[str] = []
    try:
        while True:
            # A file that cannot be read now is for who loads them to tell of.
            with suppress(AfreshError):
                folders = await anyio.to_thread.run_sync(code_folders, project, state)
            for folder in folders:
                with suppress(OSError):
                    notifications.watch(folder, place_of(folder))
            with anyio.move_on_after(INTERVAL_SECONDS):
                while not _concerns(notifications):
                    await notifications.wait()
            while True:
                await anyio.sleep(QUIET_SECONDS)
                if not _concerns(notifications):
                    break
            yield
    finally:
        notifications.close()


def _concerns(notifications: Notifications) -> bool:
    """Whether any of the notes is about code, or some are lost."""
    found = False
    while notes := notifications.drain(1000):
        for note in notes:
            name = os.path.basename(note.path)  # noqa: PTH119 - names need not be UTF-8
            if note.mask & notify.OPENED and not note.mask & notify.CLOSED:
                continue
            if note.mask & notify.OVERFLOW or name.endswith(".py") or name in SETTINGS:
                found = True
    return found
