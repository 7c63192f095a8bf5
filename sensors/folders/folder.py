"""One watched root: whose it is, how it was when last in order, and what a scan of it brought."""

import os
from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING

import anyio
import msgspec

from afresh.sensors.folders.due_times import DueTimes
from afresh.sensors.folders.probe import FileSystem
from afresh.sensors.folders.scan import Place

if TYPE_CHECKING:
    from afresh.sensors.folders.sensor import FileSensor

MISSING_SECONDS = 1.0
"""How soon a folder that is not there is looked for again: costs one stat."""
FAILED_SECONDS = 5.0
UNNOTIFIED_SECONDS = 5.0
OVERLAID_SECONDS = 15.0
_SHARE = 20
_SHARE_TOLD = 4
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

    def __init__(self, root: str, project: str, due_times: DueTimes) -> None:
        self.root = root
        self.name = os.path.relpath(root, project)
        self.is_project = root == project
        self.sensors: dict[str, FileSensor] = {}
        self.file_system = FileSystem("", notifies=True, trusted=True)
        self.unwatched = ""
        self.error = ""
        self.hint = ""
        self.is_missing = False
        self.places: dict[str, Place] = {}
        self.inside: tuple[str, ...] = (os.path.realpath(project),)
        self.scanning = False
        self._retired = False
        self._wanted = False
        self._due_at = float("inf")
        self._earliest_at = 0.0
        self._due_times = due_times
        self.ticket = anyio.Event()
        self.accepting: set[FileSensor] = set()
        self.later: dict[str, bool] = {}

    @property
    def recursive(self) -> bool:
        """May matches be in folders below."""
        # Of a copy: a scan asks in a thread, while sensors join and leave.
        return any(sensor.pattern.recursive for sensor in tuple(self.sensors.values()))

    @property
    def first(self) -> "FileSensor | None":
        """The first sensor by name; None when all have left."""
        return min(tuple(self.sensors.items()), default=("", None), key=itemgetter(0))[1]

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
        self.is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        if isinstance(error, str):
            self.error = f"Expected {error!a} on the device that it was on, found another"
            self.hint = f"mount it as it was, or {_CONFIRM}"
        elif self.is_missing:
            self.error = f"Expected the watched folder {name}, found none"
            self.hint = f"create or mount it; if it was removed on purpose, {_CONFIRM}"
        else:
            self.error = f"Expected to list {error.filename!a}, found: {error.strerror}"
            self.hint = "let the daemon's user read and enter it"

    def pass_check(self, places: dict[str, Place]) -> None:
        """Note that a scan found it in order."""
        self.error, self.hint, self.is_missing, self.places = "", "", False, places

    def begin(self) -> None:
        """Note that a scan begins: what is wanted from now on needs another."""
        self.scanning, self._wanted = True, False

    def want(self) -> None:
        """Scan soon: something is not as expected."""
        self._wanted = True
        self._plan()

    def ask(self) -> None:
        """Scan at once."""
        self._wanted, self._earliest_at = True, 0.0
        self._plan()

    def end(self) -> None:
        """Note that it has ended."""
        self.scanning = False
        self._plan()

    def retire(self) -> None:
        """Never be scanned again: all have left, and another may stand in its place."""
        self._retired = True
        self._due_times.remove(self.root)

    def _plan(self) -> None:
        if not self.scanning and not self._retired:
            at = min(self._due_at, self._earliest_at) if self._wanted else self._due_at
            self._due_times.put(self.root, at)

    def scanned(self, now: float, seconds: float, interval_seconds: float) -> None:
        """Set when to scan again: soon if something is wrong or unseen, at most 5 % of the time."""
        if self.is_missing:
            pause = MISSING_SECONDS
        elif self.error or any(sensor.error for sensor in self.sensors.values()):
            pause = FAILED_SECONDS
        elif not self.notifies:
            pause = UNNOTIFIED_SECONDS
        elif self.file_system.note:
            pause = OVERLAID_SECONDS
        else:
            pause = interval_seconds
        self._due_at = now + max(min(pause, interval_seconds), _SHARE * seconds)
        # Who asked meanwhile gets a scan at once; whom a notification tells waits a little.
        if not self._wanted or self._earliest_at > 0.0:
            self._earliest_at = now + _SHARE_TOLD * seconds
