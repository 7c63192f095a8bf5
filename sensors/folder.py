"""One watched root: whose it is, how it was when last in order, and what a scan of it brought."""

import errno
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio
import msgspec

from afresh.sensors.probe import FileSystem
from afresh.sensors.scan import Place

if TYPE_CHECKING:
    from afresh.sensors.file import FileSensor

MISSING_SECONDS = 1.0
"""How soon a folder that is not there is looked for again: costs one stat."""
FAILED_SECONDS = 5.0
UNNOTIFIED_SECONDS = 5.0
OVERLAID_SECONDS = 15.0
_SHARE = 20
_CONFIRM = "confirm the deletion: afresh sensors scan NAME --accept"


class Findings(msgspec.Struct):
    """What a scan found that is not as recorded, to be looked at once more in the loop."""

    error: OSError | None = None
    places: dict[str, Place] = {}
    changed: list[str] = []
    gone: "dict[FileSensor, list[str]]" = {}
    unmatched_gone: list[str] = []
    seconds: float = 0.0


class Folder:
    """A root and the sensors that share it: it is watched and scanned once for all of them."""

    def __init__(self, root: str, project: str) -> None:
        self.root = root
        self.name = os.path.relpath(root, project)
        self.is_project = root == project
        self.sensors: dict[str, FileSensor] = {}
        self.file_system = FileSystem("", notifies=True, trusted=True)
        self.unwatched = ""
        self.error = ""
        self.hint = ""
        self.places: dict[str, Place] = {}
        self.inside: tuple[str, ...] = (os.path.realpath(project),)
        self.scanning = False
        self.wanted = True
        self.due_at = float("inf")
        self.earliest_at = 0.0
        self.ticket = anyio.Event()
        self.accepting: set[FileSensor] = set()
        self.later: dict[str, bool] = {}

    @property
    def recursive(self) -> bool:
        """May matches be in folders below."""
        return any(sensor.pattern.recursive for sensor in self.sensors.values())

    @property
    def notifies(self) -> bool:
        """Do notifications tell of every change."""
        return self.file_system.notifies and not self.unwatched

    def moved(self, places: Mapping[str, Place]) -> str:
        """Give a folder that is on another device than at the last good scan; "" if none is."""
        for folder, place in self.places.items():
            now = places.get(folder)
            if now is not None and now.device != place.device:
                return folder
        return ""

    def fail(self, error: OSError | str) -> None:
        """Note that it cannot be trusted at present: nothing in it counts as gone."""
        name = ascii(self.name)
        if isinstance(error, str):
            self.error = f"Expected {error!a} on the device that it was on, found another"
            self.hint = f"mount it as it was, or {_CONFIRM}"
        elif error.errno in (errno.ENOENT, errno.ENOTDIR):
            self.error = f"Expected the watched folder {name}, found none"
            self.hint = f"create or mount it; if it was removed on purpose, {_CONFIRM}"
        else:
            self.error = f"Expected to list {error.filename!a}, found: {error.strerror}"
            self.hint = "let the daemon's user read and enter it"

    def is_due(self, now: float) -> bool:
        """Is it time for a scan."""
        return not self.scanning and self.next_at() <= now

    def next_at(self) -> float:
        """When the next scan is due."""
        if self.scanning:
            return float("inf")
        return min(self.due_at, self.earliest_at) if self.wanted else self.due_at

    def ask(self) -> None:
        """Scan at once."""
        self.wanted, self.earliest_at = True, 0.0

    def scanned(self, now: float, seconds: float, interval_seconds: float) -> None:
        """Set when to scan again: soon if something is wrong or unseen, at most 5 % of the time."""
        if self.error and not self.places:
            pause = MISSING_SECONDS
        elif self.error or any(sensor.error for sensor in self.sensors.values()):
            pause = FAILED_SECONDS
        elif not self.notifies:
            pause = UNNOTIFIED_SECONDS
        elif self.file_system.note:
            pause = OVERLAID_SECONDS
        else:
            pause = interval_seconds
        self.due_at = now + max(min(pause, interval_seconds), _SHARE * seconds)
        # Who asked meanwhile gets a scan at once; whom a notification tells waits a little.
        if not self.wanted or self.earliest_at > 0.0:
            self.earliest_at = now + _SHARE * seconds
