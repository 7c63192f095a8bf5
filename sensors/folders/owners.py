"""Whose a path is: of the sensors whose patterns match it, else of one that reports it at all.

May be asked in any thread, while sensors join and leave.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from afresh.sensors.folders.folder import Folder
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.routes import Routes

if TYPE_CHECKING:
    from afresh.assets.partition import Pattern

Routed = tuple[tuple[FileSensor, str], ...]


class Owners:
    """The sensors of a project's files, and who reported what no pattern matches."""

    def __init__(self, project: str, folders: Mapping[str, Folder]) -> None:
        self.unmatched: dict[str, FileSensor] = {}
        self.resting: tuple[Pattern, ...] = ()
        """Of sensors that are paused: what is theirs waits for them, and is not unmatched."""
        self._prefix = project.rstrip("/") + "/"
        self._folders = folders
        self._routes: Routes[FileSensor] = Routes()

    def relative(self, path: str) -> str:
        """Give a path as patterns see it: relative to the project."""
        return path.removeprefix(self._prefix)

    def add(self, sensor: FileSensor) -> None:
        """Let a sensor have what its pattern matches, and what it reported as unmatched."""
        self._routes.add(sensor, sensor.pattern)
        self.unmatched.update(dict.fromkeys(sensor.unmatched, sensor))

    def remove(self, sensor: FileSensor) -> None:
        """Let it have nothing any more."""
        self._routes.remove(sensor, sensor.pattern)
        for path in [p for p, owner in self.unmatched.items() if owner is sensor]:
            del self.unmatched[path]

    def find(self, path: str) -> Routed:
        """Give the sensors that a path is for, and its key for each."""
        return self._routes.find(self.relative(path))

    def reporter(self, path: str) -> FileSensor | None:
        """Give the sensor that reports a path that no pattern matches; None if nobody does.

        That is the first by name of the innermost watched folder. In the project's own folder lie
        definitions and much else that is not data: nothing there is unmatched.
        """
        if self.resting:
            name = self.relative(path)
            if any(pattern.match(name) is not None for pattern in self.resting):
                return None
        parent = above = path.rpartition("/")[0]
        while above:
            folder = self._folders.get(above)
            if folder is not None and (above == parent or folder.recursive):
                return None if folder.is_project else folder.first
            above = above.rpartition("/")[0]
        return None

    def of_unmatched(self, path: str) -> FileSensor | None:
        """Give who reported a path that no pattern matches, or is to do so."""
        return self.unmatched.get(path) or self.reporter(path)

    def concerned(self, path: str) -> list[FileSensor]:
        """Give all that have something to say of a path."""
        if routes := self.find(path):
            return [sensor for sensor, _ in routes]
        sensor = self.of_unmatched(path)
        return [sensor] if sensor is not None else []
