"""Ledgers to test with, and commits to put into them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from afresh.storage.ledger.commit import Commit, Require, Update
from afresh.storage.ledger.migrate import migrate


@cache
def _template() -> bytes:
    with TemporaryDirectory(prefix="afresh-ledger-") as folder:
        path = Path(folder, "ledger.sqlite")
        migrate(path)
        return path.read_bytes()


def ledger_file(folder: Path) -> Path:
    """Return a new, empty ledger; copied, since migrating one takes longer than a test should."""
    path = folder / "ledger.sqlite"
    path.write_bytes(_template())
    return path


def event(seq: int, **given: Any) -> dict[str, Any]:
    """Return an event's row."""
    row = {
        "seq": seq,
        "epoch": None,
        "sensor": "flights",
        "source": "flights",
        "partition": f"k{seq}",
        "kind": "arrived",
        "uri": f"landing/k{seq}.csv",
        "observed_at": 100.0 + seq,
        "state": "pending",
    }
    return row | given


def insert(table: str, *rows: dict[str, Any], requires: tuple[Require, ...] = ()) -> Commit:
    """Return a commit that inserts rows."""
    return Commit((Update("insert", table, rows),), requires)


def cursor(value: str, sensor: str = "flights") -> Update:
    """Return the update of a cursor."""
    return Update("upsert", "cursor", ({"sensor": sensor, "value": value, "updated_at": 1.0},))


def unit(asset: str, partition: str = "", **given: Any) -> dict[str, Any]:
    """Return a unit's row."""
    row = {"asset": asset, "partition": partition, "version": 1, "epoch": 1, "run_key": "k"}
    return row | {"deleted": False, "failed_run": None, "updated_at": 1.0} | given


def version(asset: str, partition: str, number: int, **given: Any) -> dict[str, Any]:
    """Return a version's row."""
    row = {
        "asset": asset,
        "partition": partition,
        "version": number,
        "epoch": number,
        "fingerprint": f"f{number}",
        "columns": "{}",
        "rows": 10 * number,
        "bytes": 100,
        "hash": f"h{number}",
        "uri": f"{asset}/{partition}/{number}.parquet",
        "schema_version": "s",
        "code_version": "c",
        "run": f"run{number}",
        "created_at": float(number),
        "state": "kept",
    }
    return row | given


def segment(asset: str, first: int, end: int, **given: Any) -> dict[str, Any]:
    """Return the row of a stream's segment."""
    row = {
        "asset": asset,
        "partition": "",
        "first_row": first,
        "end_row": end,
        "uri": f"{asset}/{first}.parquet",
        "bytes": 100,
        "hash": f"h{first}",
        "fingerprint": f"f{first}",
        "columns": "{}",
        "schema_version": "s",
        "position": "",
        "run": f"run{first}",
        "created_at": float(first),
    }
    return row | given


def validation(
    asset: str, partition: str, number: int, schema: str, state: str, **given: Any
) -> dict[str, Any]:
    """Return the row of a verdict on a version, or on rows of a stream (number 0)."""
    row = {"asset": asset, "partition": partition, "version": number, "first_row": 0}
    row |= {"schema_version": schema, "state": state, "event": 1, "at": 1.0}
    return row | {"error": "Expected other data" if state == "suspect" else ""} | given


def run(name: str, asset: str, partition: str = "", **given: Any) -> dict[str, Any]:
    """Return a run's row."""
    row = {
        "run": name,
        "asset": asset,
        "partition": partition,
        "epoch": 1,
        "attempt": 1,
        "run_key": "k",
        "state": "succeeded",
        "cause_kind": "arrived",
        "cause_event": 1,
        "events": "[1]",
        "reasons": "[]",
        "code_version": "c",
        "staging": "",
        "started_at": 1.0,
        "ended_at": 2.0,
        "version": None,
    }
    return row | given


def lineage(name: str, parameter: str, asset: str, **given: Any) -> dict[str, Any]:
    """Return a row of what a run read."""
    row = {"run": name, "parameter": parameter, "asset": asset, "reads": "all", "epoch": 1}
    return row | {"partition": "", "version": None} | given


def validity(asset: str, partition: str, epoch: int, number: int | None) -> dict[str, Any]:
    """Return the row of a unit's state from an epoch on."""
    return {
        "asset": asset,
        "partition": partition,
        "epoch": epoch,
        "version": number,
        "run": f"run{number}",
    }
