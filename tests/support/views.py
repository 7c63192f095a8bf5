"""Views of a project without a daemon: a ledger in a file, and units that are as a test says."""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from afresh.assets.errors import UsageError
from afresh.assets.manifest import Manifest
from afresh.assets.planner.view import Reason, UnitView
from afresh.daemon.api.view import Key
from afresh.daemon.config import Settings
from afresh.sensors.base import Batch
from afresh.storage.ledger.apply import Applier
from afresh.storage.ledger.commit import Commit, Update
from afresh.storage.ledger.reader import Reader
from afresh.storage.ledger.statements import Statements
from support.ledgers import event, ledger_file, lineage, run, unit, validity, version
from support.manifests import a_function, a_manifest, a_source

NOW = 1_000.0

MANIFEST = a_manifest(
    a_source("flights", "day"), a_function("daily", "=flights"), a_function("total", "daily")
)


class FakeLooks:
    """Units as given."""

    def __init__(self, views: Iterable[UnitView]) -> None:
        self.views = {(view.asset, view.partition): view for view in views}

    def assets(self) -> list[str]:
        return list(dict.fromkeys(asset for asset, _ in self.views))

    def units(self) -> list[Key]:
        return list(self.views)

    def look(self, asset: str, partition: str, now: float) -> UnitView:
        del now
        return self.views[asset, partition]


class FakeView:
    """A `View` over a ledger file and given units."""

    def __init__(
        self, ledger: Path, views: Iterable[UnitView] = (), manifest: Manifest = MANIFEST
    ) -> None:
        self.project = str(ledger.parent)
        self.manifest = manifest
        self.settings = Settings(project=self.project, file="", ledger=str(ledger))
        self.planner = FakeLooks(views)
        self.reader = Reader(ledger)
        self.rows: list[dict[str, Any]] = []
        self.breaths = 0

    def sensors(self) -> list[dict[str, Any]]:
        return self.rows

    def now(self) -> float:
        return NOW

    async def breathe(self) -> None:
        self.breaths += 1


class FakeControls:
    """Remembers what it was asked for."""

    def __init__(
        self,
        *,
        in_time: bool = True,
        left: float | None = None,
        lines: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.batches: list[Batch] = []
        self.in_time = in_time
        self.left = left
        self.lines = lines

    async def materialize(self, request: str, units: Sequence[Key], *, force: bool) -> list[Key]:
        self.asked.append(("materialize", request, list(units), force))
        return [(asset, "" if key == "*" else key) for asset, key in units]

    async def cancel(self, request: str, run: str) -> bool:
        self.asked.append(("cancel", request, run))
        return run == "r1"

    async def pause(self, request: str, kind: str, names: Sequence[Key]) -> None:
        self.asked.append(("pause", request, kind, list(names)))

    async def resume(self, request: str, kind: str, names: Sequence[Key]) -> None:
        self.asked.append(("resume", request, kind, list(names)))

    async def scan(self, sensor: str, *, accept: bool = False) -> int:
        self.asked.append(("scan", sensor, accept))
        return 3

    async def scan_all(self, timeout_seconds: float | None) -> float | None:
        self.asked.append(("scan_all", timeout_seconds))
        return self.left if self.left is not None else timeout_seconds

    async def reset(self, request: str, sensor: str) -> None:
        self.asked.append(("reset", request, sensor))

    async def record(self, request: str, op: str, batches: Sequence[Batch]) -> list[int]:
        self.asked.append((op, request))
        self.batches = list(batches)
        return list(range(100, 100 + sum(len(batch.arrivals) for batch in batches)))

    async def drop_outgoing(self, request: str, target: str) -> int:
        self.asked.append(("drop_outgoing", request, target))
        return 3

    async def replay_letters(
        self, request: str, source: str, letters: Sequence[tuple[int, int, bytes]]
    ) -> list[tuple[int, int]]:
        self.asked.append(("replay_letters", request, source, list(letters)))
        return [(seq, number) for seq, number, _ in letters]

    async def wait(self, units: Sequence[Key] | None, timeout_seconds: float | None) -> bool:
        self.asked.append(("wait", units, timeout_seconds))
        return self.in_time

    async def reload(self, digest: str) -> None:
        self.asked.append(("reload", digest))
        if digest == "broken":
            raise UsageError("Expected definitions, found none", hint="write some", where="p.py:1")

    async def stop(self) -> None:
        self.asked.append(("stop",))

    async def subscribe(self) -> AsyncIterator[dict[str, Any]]:
        for line in self.lines:
            yield line


def looks(
    asset: str,
    partition: str = "",
    state: str = "fresh",
    number: int | None = 1,
    *reasons: Reason,
    **given: Any,
) -> UnitView:
    """Say how a unit is."""
    kind = "source" if asset == "flights" else "asset"
    values: dict[str, Any] = {
        "kind": kind,
        "state": state,
        "version": number,
        "epoch": 3,
        "updated_at": 10.0,
        "reasons": reasons,
    }
    return UnitView(asset, partition, **{**values, **given})


def filled(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Path:
    """Make a ledger with these rows."""
    path = ledger_file(folder)
    put(path, tables)
    return path


def put(path: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Add rows to a ledger."""
    with closing(sqlite3.connect(path)) as connection, connection:
        applier = Applier(connection, Statements(), str(path))
        for table, rows in tables.items():
            for row in rows:
                applier.group((Commit((Update("insert", table, (row,)),)),))


def story(folder: Path) -> Path:
    """Make the ledger of a short history.

    1: k1 arrives, 2: k2 arrives, 3: k1 is overwritten. `daily` has the keys of `flights`, `total`
    reads all of `daily`. The third event changes daily[k1], and `total`.
    """

    def made(name: str, asset: str, key: str, number: int, epoch: int) -> None:
        seq = epoch  # each event is a change
        rows["run"].append(
            run(
                name, asset, key, epoch=epoch, version=number, cause_event=seq,
                events=f"[{seq}]", started_at=100.0 + epoch, ended_at=100.5 + epoch,
            )
        )  # fmt: skip
        rows["version"].append(version(asset, key, number, epoch=epoch, run=name))
        rows["validity"].append(validity(asset, key, epoch, number) | {"run": name})

    def own(name: str, key: str, number: int, epoch: int) -> None:
        rows["lineage"].append(
            lineage(name, "p0", "flights", reads="own", epoch=epoch, partition=key, version=number)
        )

    rows: dict[str, list[dict[str, Any]]] = {
        "event": [
            event(1, epoch=1, partition="k1", uri="landing/k1.csv", state="ingested"),
            event(2, epoch=2, partition="k2", uri="landing/k2.csv", state="ingested"),
            event(3, epoch=3, partition="k1", uri="landing/k1.csv", state="ingested"),
        ],
        "last_event": [{"sensor": "flights", "observed_at": 103.0}],
        "run": [],
        "version": [],
        "validity": [],
        "lineage": [],
        "unit": [
            unit("flights", "k1", version=2, epoch=3),
            unit("flights", "k2", version=1, epoch=3),
            unit("daily", "k1", version=2, epoch=3),
            unit("daily", "k2", version=1, epoch=3),
            unit("total", "", version=2, epoch=3),
        ],
    }
    made("r01", "flights", "k1", 1, 1)
    made("r02", "daily", "k1", 1, 1)
    own("r02", "k1", 1, 1)
    made("r03", "flights", "k2", 1, 2)
    made("r04", "daily", "k2", 1, 2)
    own("r04", "k2", 1, 2)
    made("r05", "total", "", 1, 2)
    rows["lineage"].append(lineage("r05", "p0", "daily", epoch=2))
    made("r06", "flights", "k1", 2, 3)
    made("r07", "daily", "k1", 2, 3)
    own("r07", "k1", 2, 3)
    made("r08", "total", "", 2, 3)
    rows["lineage"].append(lineage("r08", "p0", "daily", epoch=3))
    return filled(folder, rows)
