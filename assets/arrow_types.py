"""The Arrow types that canonical names stand for: what a reader of text parses a column as."""

from collections.abc import Mapping

import pyarrow as pa


def arrow_type(name: str) -> pa.DataType:
    """Make the Arrow type that a canonical name stands for (see `schema.read_types`).

    Raises ValueError for a name that it does not know.
    """
    name = name.strip()
    if name in _TYPES:
        return _TYPES[name]
    head, _, rest = name.partition("[") if name[-1:] == "]" else name.partition("<")
    inner = rest[:-1]
    if head == "timestamp":
        unit, _, zone = inner.partition(", ")
        return pa.timestamp(unit, zone or None)
    if head in ("duration", "time"):
        return pa.duration(inner) if head == "duration" else _time(inner)
    if head == "list":
        return pa.list_(arrow_type(inner))
    if head == "struct":
        return pa.struct([(key, arrow_type(kind)) for key, kind in _members(inner)])
    if name.startswith("decimal(") and name.endswith(")"):
        precision, scale = (int(part) for part in name[8:-1].split(","))
        return (
            pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
        )
    raise ValueError(f"Expected the name of an Arrow type, found {name!r}")


def _time(unit: str) -> pa.DataType:
    return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)


def _members(text: str) -> list[tuple[str, str]]:
    """Split `a: int64, b: list<string>` at its own commas only."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "<[(") - (letter in ">])")
        if letter == "," and not depth:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    pairs = (part.rpartition(": ") if "<" not in part else part.partition(": ") for part in parts)
    return [(key.strip(), kind.strip()) for key, _, kind in pairs]


_TYPES: Mapping[str, pa.DataType] = {
    "bool": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "null": pa.null(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
} | {
    str(kind): kind
    for kind in (
        pa.int8(),
        pa.int16(),
        pa.int32(),
        pa.int64(),
        pa.uint8(),
        pa.uint16(),
        pa.uint32(),
        pa.uint64(),
    )
}
