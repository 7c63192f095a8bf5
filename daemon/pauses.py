"""Pauses as rows: of assets, of single units and of sensors; the last word on each counts."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.state import PauseRow

WHOLE = "*"
RESUMED = "resumed"
"""The kind of a row that lets a unit go on though its asset is paused as a whole."""
_COLUMNS = ("kind", "name", "partition")


def switch_rows(
    kind: Literal["asset", "sensor"],
    names: Sequence[tuple[str, str]],
    paused: Sequence[PauseRow],
    now: float,
    *,
    on: bool,
) -> list[Update]:
    """Pause what is named by name and key, or end that; `paused` are the rows that there are."""
    kinds = {kind, RESUMED} if kind == "asset" else {kind}
    there = [row for row in paused if row.kind in kinds]
    gone = [row for row in there if _is_named(row.name, row.partition, names)]
    updates = [Update("delete", "pause", _rows(row[:3] for row in gone))] if gone else []
    kept: list[tuple[str, str, str]] = [(kind, *each) for each in names]
    if not on:
        whole = {row.name for row in there if row.kind == kind and row.partition == WHOLE}
        whole -= {name for name, key in names if key == WHOLE}
        kept = [(RESUMED, name, key) for name, key in names if name in whole]
    if kept:
        rows = [{**row, "at": now} for row in _rows(kept)]
        updates.append(Update("upsert", "pause", rows))
    return updates


def _is_named(name: str, key: str, names: Sequence[tuple[str, str]]) -> bool:
    return (name, key) in names or (name, WHOLE) in names


def _rows(found: Iterable[tuple[str, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(_COLUMNS, each, strict=True)) for each in found]
