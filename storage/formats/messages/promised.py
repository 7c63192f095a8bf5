"""What a registry's schema promises against what the source's schema expects.

A column may be promised by a narrower type than it is read as: what reads without loss fits.
"""

from collections.abc import Sequence

import msgspec

from afresh.assets.contract import mismatches
from afresh.assets.errors import UnreadableData
from afresh.assets.manifest import Column, Schema
from afresh.storage.formats.base import Options

_OPEN = ""
"""The type of what is not told apart: nested values, unions."""
_WIDER: dict[str, frozenset[str]] = {
    "int8": frozenset({"int16", "int32", "int64", "float32", "float64"}),
    "int16": frozenset({"int32", "int64", "float32", "float64"}),
    "int32": frozenset({"int64", "float64"}),
    "int64": frozenset(),
    "uint32": frozenset({"int64", "uint64", "float64"}),
    "float32": frozenset({"float64"}),
    "bool": frozenset(),
    "string": frozenset({"object"}),
    "binary": frozenset({"object"}),
}
_TEXT_OF_JSON = ("string", "date", "timestamp", "duration", "time", "category", "decimal", "binary")


def check_promise(
    promised: Sequence[Column],
    expected: Schema | None,
    options: Options,
    *,
    name: str,
    text: bool = False,
) -> None:
    """Raise UnreadableData where a schema of a registry breaks the contract, with both sides.

    `name` says which schema it is. `text`: values are JSON, and text may stand for times.
    """
    if expected is None:
        return
    wanted = {column.name: column for column in expected.columns if not column.regex}
    # What a record has beside its value is a column by the source's wish, whoever wrote the value.
    beside = [c for c in str(options.get("columns") or "").split(",") if c]
    seen = [Column(column, _OPEN) for column in beside] + [
        msgspec.structs.replace(column, dtype=wanted[column.name].dtype)
        if column.name in wanted and _fits(column.dtype, wanted[column.name].dtype, text=text)
        else column
        for column in promised
        if column.name not in beside
    ]
    producer = Schema(name=name, columns=tuple(seen), strict="strict", data_key="", version="")
    for broken in mismatches(producer, expected):
        theirs = next((c for c in promised if c.name == broken.column), None)
        ours = next((c for c in expected.columns if c.name == broken.column), None)
        raise UnreadableData(
            f"{broken.error}: {name} has {_told(theirs)}, {expected.name} has {_told(ours)}",
            hint="mend one of the two declarations; nothing of the batch is published until then",
            where=str(expected.where) if expected.where is not None else "",
        )


def _fits(found: str, wanted: str, *, text: bool) -> bool:
    if found == wanted or _OPEN in (found, wanted) or wanted in _WIDER.get(found, ()):
        return True
    if found == "string" and (wanted.startswith("category") or wanted == "object"):
        return True
    if text and found == "string":
        return wanted.startswith(_TEXT_OF_JSON)
    if text and found == "int64":
        return wanted.startswith(("int", "uint", "float", "decimal"))
    if text and found == "float64":
        return wanted.startswith(("float", "decimal"))
    return _family(found) == _family(wanted) in ("timestamp", "time", "duration", "decimal")


def _family(kind: str) -> str:
    return kind.partition("[")[0].partition("(")[0]


def _told(column: Column | None) -> str:
    if column is None:
        return "no such field"
    nullable = ", nullable" if column.nullable else ""
    return f"{column.name!r} of {column.dtype or 'a nested type'}{nullable}"
