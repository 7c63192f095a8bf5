"""Why there is nothing to read of a unit, or of any unit of an asset."""

from typing import Any

from afresh.assets.errors import UsageError
from afresh.assets.partition import format_ref
from afresh.daemon.api.times import iso
from afresh.daemon.api.view import View
from afresh.storage.ledger import queries

_MOST_UNITS = 5
_DELETED = (
    "SELECT u.partition, u.updated_at FROM unit u JOIN validity v ON v.asset = u.asset"
    " AND v.partition = u.partition AND v.epoch = (SELECT MAX(w.epoch) FROM validity w"
    " WHERE w.asset = u.asset AND w.partition = u.partition)"
    " WHERE u.asset = :asset AND u.deleted AND v.version IS NULL"
)


def refuse_deleted(view: View, asset: str, partition: str) -> None:
    """Raise UsageError for a tombstone, naming its epoch and the version that was the last."""
    key = {"asset": asset, "partition": partition}
    rows = view.reader.rows(queries.VALIDITY_OF_UNIT, key)
    if not rows or rows[-1][1] is not None:
        return
    ref, last = format_ref(asset, partition), [version for _, version, _ in rows if version]
    raise UsageError(
        f"Expected the data of {ref}, found that it was deleted at epoch {rows[-1][0]}",
        hint=f"{ref}@{last[-1]} still reads what it was" if last else "it never had any",
    )


def tombstones(view: View, asset: str) -> dict[str, dict[str, Any]]:
    """Give a row of `versions` for each unit that is deleted: without a version, by its key."""
    rows = view.reader.rows(_DELETED, {"asset": asset})
    return {
        key: {
            "ref": format_ref(asset, key),
            "asset": asset,
            "partition": key,
            "version": None,
            "fingerprint": "",
            "rows": None,
            "bytes": None,
            "created_at": iso(at),
            "run": None,
            "code_version": "",
            "uri": "",
            "tags": [],
            "state": "tombstone",
        }
        for key, at in rows
    }


def refuse_without_data(view: View, asset: str) -> None:
    """Raise UsageError for an asset that has units with keys, and data in none: how they are."""
    found = [key for name, key in view.planner.units() if name == asset and key]
    if not found:
        return
    said = []
    for key in found[:_MOST_UNITS]:
        unit = view.planner.look(asset, key, view.now())
        gone = any(reason.kind == "deleted" for reason in unit.reasons)
        said.append(f"{format_ref(asset, key)} is {'deleted' if gone else unit.state}")
    more = f" and {len(found) - _MOST_UNITS} more" if len(found) > _MOST_UNITS else ""
    raise UsageError(
        f"Expected a version of {asset}, found none: {', '.join(said)}{more}",
        hint=f"afresh why {format_ref(asset, found[0])} says why",
    )
