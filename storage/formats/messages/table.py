"""Decoded messages as one table: a column at once; only where that fails, value by value."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from afresh.assets.arrow_types import arrow_type
from afresh.storage.formats.base import shown
from afresh.storage.formats.messages.base import Decoded, Wanted

_CAST_ONLY = ("float", "timestamp", "time", "duration", "date", "decimal")


def make_table(
    rows: Sequence[Mapping[str, Any]],
    sources: Sequence[int],
    bad: dict[int, str],
    wanted: Wanted,
    types: Mapping[str, str],
) -> Decoded:
    """Make a table of messages' fields; `sources` are the messages' indexes, `types` the promised.

    A wanted column is of the wanted type, another of the promised one, inferred where it is "".
    What does not fit makes its message bad.
    """
    names = list(wanted.types)
    if wanted.others == "keep":
        names += [name for name in types if name not in wanted.types]
    while True:
        columns: dict[str, pa.Array] = {}
        wrong: dict[int, str] = {}
        for name in names:
            kind = wanted.types.get(name) or types.get(name, "")
            target = arrow_type(kind) if kind else None
            values = [row.get(name) for row in rows]
            array, failed = _column(values, target)
            columns[name] = array
            for place, reason in failed.items():
                wrong.setdefault(place, f"{reason} in column {name!r}")
        if not wrong:
            break
        bad |= {sources[place]: reason for place, reason in wrong.items()}
        kept = [place for place in range(len(rows)) if place not in wrong]
        rows = [rows[place] for place in kept]
        sources = [sources[place] for place in kept]
    table = pa.table(columns) if columns else pa.table({})
    return Decoded(table, sources, bad)


def _column(
    values: list[Any], target: pa.DataType | None
) -> tuple[pa.Array | None, dict[int, str]]:
    try:
        return _array(values, target), {}
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass
    failed: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            _array([value], target)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            failed[place] = f"Expected {target}, found {shown(value)}"
    if not failed:  # each is good, but they have no type in common
        failed = dict.fromkeys(range(len(values)), "Expected values of one type, found several")
    return None, failed


def _array(values: list[Any], target: pa.DataType | None) -> pa.Array:
    """Make an array; a value that the type cannot hold without loss is an error."""
    if target is None or not str(target).startswith(_CAST_ONLY):
        array = pa.array(values, target)
        if target is not None and pa.types.is_integer(target):
            _no_bools(values)
        return array
    found = pa.array(values)
    return found if found.type == target else found.cast(target)


def _no_bools(values: list[Any]) -> None:
    if any(value is True or value is False for value in values):
        raise pa.ArrowInvalid("a boolean is no number")
