"""What a format is: bytes to a table. One file a kind; text is read by the types of the schema.

Rows count from 1 as editors count lines: in CSV the header is row 1, in JSON Lines the first
object is.
"""

from collections.abc import Mapping
from typing import Protocol

import pyarrow as pa

from afresh.assets.arrow_types import arrow_type
from afresh.assets.errors import UnreadableData, UsageError

Options = Mapping[str, str | int | float | bool | None]

_SHOWN = 60


class Format(Protocol):
    """A way to write a table as bytes."""

    @property
    def name(self) -> str:
        """Give the name that `format=` uses."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Give the suffixes that tell it, in lower case."""
        ...

    @property
    def text(self) -> bool:
        """Whether it is read by the types of a schema."""
        ...

    @property
    def options(self) -> frozenset[str]:
        """Name the options that `read` knows."""
        ...

    # A text format may have `lines(data, rows, options)` too: the lines of the file that these rows
    # begin in, from 1, as far as they can be found. Asked for only where something is wrong.

    def read(self, data: bytes, types: Mapping[str, str], options: Options) -> pa.Table:
        """Decode all of it.

        Text is read by `types` (column to canonical name); a column without one is inferred over
        all rows. A column of `types` that is not there is left to the schema to name. Formats that
        carry types ignore them. Raises UnreadableData, with row and column as far as known.
        """
        ...


def unreadable(
    error: str,
    *,
    row: int | None = None,
    line: int | None = None,
    column: str | None = None,
    hint: str = "",
) -> UnreadableData:
    """Make the error for data that is not of its format.

    Rows are counted from 1, a header is none; lines are the file's, where no row is known.
    """
    place = [f"row {row}"] if row is not None else [f"line {line}"] if line is not None else []
    if column is not None:
        place.append(f"column {shown(column)}")
    # Libraries' messages may have several lines, and pieces of the data in them.
    error = " ".join(error.split())
    error = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in error)
    made = UnreadableData(error + (f" in {', '.join(place)}" if place else ""), hint=hint)
    made.row = row
    return made


def with_line(text: str, row: int, lines: Mapping[int, int]) -> str:
    """Say beside a row of an error which line of the file that is."""
    said = f" in row {row}"
    before, found, after = text.rpartition(said)
    if not found or row not in lines or after[:1].isdigit():
        return text
    return f"{before}{said} (line {lines[row]}){after}"


def shown(value: object) -> str:
    """Show a value from data: on one line, with nothing that moves a terminal, cut if long."""
    text = ascii(value) if isinstance(value, bytes) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def arrow_types(types: Mapping[str, str]) -> dict[str, pa.DataType]:
    """Make the types by column. Raises UsageError for a name that means none."""
    made = {}
    for column, name in types.items():
        try:
            made[column] = arrow_type(name)
        except ValueError:
            try:
                made[column] = pa.type_for_alias(name)
            except ValueError as error:
                raise UsageError(
                    f"Expected a type that text is read as for column {shown(column)}, "
                    f"found {name!r}",
                    hint="declare the column as text and convert it in an asset",
                ) from error
    return made


def check_options(kind: Format, options: Options) -> None:
    """Raise UsageError for an option that the format does not know."""
    for option in options:
        if option not in kind.options:
            known = ", ".join(sorted(kind.options)) or "none"
            raise UsageError(
                f"Expected an option of {kind.name} ({known}), found {option!r}",
                hint="correct options={...}",
            )


def check_names(names: list[str]) -> None:
    """Raise UnreadableData for two columns of one name."""
    if len(set(names)) == len(names):
        return
    first: dict[str, int] = {}
    for place, name in enumerate(names, 1):
        if name in first:
            raise unreadable(
                f"Expected distinct column names, found {shown(name)} as columns "
                f"{first[name]} and {place}",
                hint="rename one of them",
            )
        first[name] = place
