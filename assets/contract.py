"""Does what one schema promises satisfy what another expects? Known before anything runs."""

import re
from collections.abc import Iterator

import msgspec

from afresh.assets.manifest import Column, Schema
from afresh.assets.nearest import did_you_mean

_OPEN = ("", "any", "object")


class Mismatch(msgspec.Struct, frozen=True):
    """One column of a producer that a consumer cannot take: what is wrong, and the way out."""

    column: str
    error: str
    hint: str


def mismatches(producer: Schema, consumer: Schema) -> Iterator[Mismatch]:
    """Compare what is promised with what is expected; nothing comes when all of it is satisfied.

    Checks are not compared: whether one implies another shows in the data, when it is validated.
    """
    promised = _Names(producer)
    for wanted in consumer.columns:
        found = promised.meant_by(wanted)
        for column in found:
            yield from _column(column, wanted)
        # Whether a name fits two patterns shows in the data.
        if not found and wanted.required and not (wanted.regex and promised.patterns):
            yield Mismatch(
                wanted.name,
                f"Expected column {wanted.name!r}, found none in {producer.name}",
                did_you_mean(
                    wanted.name,
                    promised.plain,
                    f"declare it in {producer.name}, or make it optional",
                ),
            )
    if consumer.strict == "strict":
        taken = _Names(consumer)
        for column in producer.columns:
            if not taken.meant_by(column) and not (column.regex and taken.patterns):
                yield Mismatch(
                    column.name,
                    f"Expected only the columns of strict {consumer.name}, "
                    f"found {column.name!r} too",
                    f"declare it in {consumer.name}, or write strict='filter' there",
                )


class _Names:
    """The columns of a schema by their names, and those that are patterns of names."""

    def __init__(self, schema: Schema) -> None:
        self.plain = {column.name: column for column in schema.columns if not column.regex}
        self.patterns = {column.name: column for column in schema.columns if column.regex}

    def meant_by(self, column: Column) -> list[Column]:
        """Give those that a column of the other side means; either may be a pattern."""
        if column.regex:
            same = self.patterns.get(column.name)
            plain = [c for name, c in self.plain.items() if _matches(column.name, name)]
            return plain if same is None else [same, *plain]
        own = self.plain.get(column.name)
        patterns = [c for pattern, c in self.patterns.items() if _matches(pattern, column.name)]
        return patterns if own is None else [own, *patterns]


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.match(pattern, name) is not None
    except re.error:
        return False


def _fits(found: str, wanted: str) -> bool:
    """Tell whether one type is the other; what a side leaves open shows in the data."""
    if found == wanted or found in _OPEN or wanted in _OPEN:
        return True
    if wanted.endswith(", *]"):
        return found.startswith(wanted.removesuffix("*]"))
    return found.startswith("category") and wanted == "category"


def _column(found: Column, wanted: Column) -> Iterator[Mismatch]:
    # What is coerced on reading may be of any type: coercion is lossless or an error of the run.
    if not wanted.coerce and not _fits(found.dtype, wanted.dtype):
        yield Mismatch(
            wanted.name,
            f"Expected column {wanted.name!r} of {wanted.dtype}, found {found.dtype}",
            "declare the same type on both sides, or coerce=True where it is read",
        )
    if found.nullable and not wanted.nullable:
        yield Mismatch(
            wanted.name,
            f"Expected column {wanted.name!r} without nulls, found it nullable",
            "declare it nullable where it is read, or not nullable where it is made",
        )
    if wanted.required and not found.required:
        yield Mismatch(
            wanted.name,
            f"Expected column {wanted.name!r} always, found it optional",
            "declare it optional where it is read, or required where it is made",
        )
