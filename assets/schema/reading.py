"""As what a reader of text parses the columns of a schema: never inferred, then coerced."""

import re
from collections.abc import Sequence

from afresh.assets.manifest import Schema

_NEVER_TEXT = ("", "null")


def read_types(schema: Schema, names: Sequence[str] | None = None) -> dict[str, str]:
    """Name the Arrow type (see `arrow_types.arrow_type`) of each column that the schema types.

    Columns that it leaves open are not in it: those are inferred. `names`, the columns that are
    there, are needed where the schema has columns by pattern: these are matched against them.
    """
    types: dict[str, str] = {}
    for column in schema.columns:
        kind = _read_as(column.dtype)
        if kind is None:
            continue
        if not column.regex:
            types[column.name] = kind
            continue
        for name in names or ():
            if name not in types and re.match(column.name, name):
                types[name] = kind
    return types


def _read_as(dtype: str) -> str | None:
    """Categories are read as their text, and what the schema leaves as objects as well."""
    if dtype in _NEVER_TEXT:
        return None
    if dtype == "category" or dtype.startswith(("category[", "object")):
        return "string"
    if dtype.startswith("timestamp[") and dtype.endswith(", *]"):
        return dtype.replace(", *]", ", UTC]")
    return dtype
