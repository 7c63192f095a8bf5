"""Sensors built from their sources and from what the ledger recorded of them."""

import os
from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol

import msgspec

from afresh.assets.errors import AfreshError, SensorError
from afresh.assets.manifest import Source
from afresh.assets.partition import Pattern
from afresh.daemon.sensing.kinds import build_sensor
from afresh.sensors.base import Emit, Health, Identity, Sensor, SensorContext
from afresh.sensors.folders.sensor import FileSensor
from afresh.sensors.folders.watcher import FolderWatcher
from afresh.sensors.http_route import HttpRoutes

_identity = msgspec.json.Decoder(Identity)


class Recorded(Protocol):
    """What the ledger has of a sensor, asked for when one starts."""

    def paths(self, sensor: str) -> Mapping[str, str]:
        """Give each recorded uri and its identity as JSON."""
        ...

    def known(self, sensor: str) -> Mapping[str, str]:
        """Give the same, looked up when it is asked for."""
        ...

    def unmatched(self, sensor: str) -> frozenset[str]:
        """Name the uris that were recorded as unmatched."""
        ...

    def cursor(self, sensor: str) -> str:
        """Give what its last batch left."""
        ...


class SensorBuilder:
    """Builds the sensors of a generation, `digest`. `tell` is called with the name of a sensor."""

    def __init__(
        self,
        *,
        watcher: FolderWatcher,
        recorded: Recorded,
        project: str,
        staging: str,
        now: Callable[[], float],
        random: Random,
        http: HttpRoutes | None,
        tell: Callable[[str], None],
    ) -> None:
        self.digest = ""
        self._watcher = watcher
        self._recorded = recorded
        self._project = project
        self._staging = staging
        self._now = now
        self._random = random
        self._http = http
        self._tell = tell

    def build(self, source: Source) -> Sensor:
        """Build a sensor; one that cannot be built says why in its health."""
        try:
            return self._built(source)
        except AfreshError as error:
            return Unbuilt(source.name, source.sensor.kind, error)

    def _built(self, source: Source) -> Sensor:
        """Build a sensor. Raises AfreshError, whatever others' code does."""
        try:
            if source.sensor.kind == "file":
                return self._file(source)
            return build_sensor(self._context(source))
        except AfreshError:
            raise
        except Exception as error:
            line = str(error).partition("\n")[0]
            raise SensorError(
                f"Expected a sensor that can be built, found {type(error).__name__}: {line:.300}",
                hint="check what is installed, and the options of the source",
            ) from error

    def _context(self, source: Source) -> SensorContext:
        # Beside what is staged, in the state folder.
        state = os.path.dirname(self._staging)  # noqa: PTH120
        return SensorContext(
            source=source,
            project=self._project,
            staging=f"{self._staging}/{source.name}",
            cursor=self._recorded.cursor(source.name),
            known=self._recorded.known(source.name),
            now=self._now,
            random=self._random,
            tell=lambda: self._tell(source.name),
            http=self._http,
            snapshot=f"{state}/snapshots/{self.digest}",
        )

    def _file(self, source: Source) -> FileSensor:
        options = source.sensor.options
        known = self._recorded.paths(source.name)
        return FileSensor(
            name=source.name,
            pattern=Pattern.parse(str(options["pattern"])),
            watcher=self._watcher,
            settle_seconds=float(options["settle_seconds"] or 0.0),
            known={uri: _identity.decode(text) for uri, text in known.items() if text},
            unmatched=self._recorded.unmatched(source.name),
            on_health=self._tell_health,
        )

    def _tell_health(self, sensor: Sensor) -> None:
        self._tell(sensor.name)


class Unbuilt:
    """Stands for a sensor that cannot be built, and says why; it costs itself alone."""

    checked = False
    is_quiet = True

    def __init__(self, name: str, kind: str, error: AfreshError) -> None:
        self.name = name
        self.kind = kind
        self._error = error

    @property
    def health(self) -> Health:
        """Failed, with the reason."""
        return Health("failed", error=self._error.error, hint=self._error.hint)

    async def run(self, emit: Emit) -> None:
        """Raise the reason."""
        del emit
        raise self._error

    async def scan(self, *, accept: bool = False) -> int:
        """Raise the reason."""
        del accept
        raise self._error
