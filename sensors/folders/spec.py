"""`files(...)`: how a source says which files it is made of. A pure declaration."""

from collections.abc import Mapping

import msgspec

from afresh.assets.declare import Declared, Option
from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Sensor
from afresh.assets.partition import Pattern

SETTLE_SECONDS = 1.0
"""How long a file that only a scan found must be unchanged before it counts as complete."""


class FilesSpec(msgspec.Struct, frozen=True):
    """Files below the project, as `files(...)` was called; checked when the definitions load."""

    pattern: str
    format: str = ""
    options: Mapping[str, Option] = {}
    key_columns: bool = False
    settle: float = SETTLE_SECONDS

    def declared(self) -> Declared:
        """Work it out. Raises DefinitionError for a pattern or option that cannot be."""
        if not isinstance(self.pattern, str):
            raise DefinitionError(
                f"Expected a path pattern, found {self.pattern!r}",
                hint='write files("landing/{day}.csv")',
            )
        if isinstance(self.settle, bool) or not isinstance(self.settle, int | float):
            raise DefinitionError(
                f"Expected settle in seconds, found {self.settle!r}", hint="write settle=1.0"
            )
        if not 0 <= self.settle < float("inf"):
            raise DefinitionError(
                f"Expected settle of 0 seconds or more, found {self.settle!r}",
                hint="write settle=1.0",
            )
        for name, value in self.options.items():
            if value is not None and not isinstance(value, str | int | float | bool):
                raise DefinitionError(
                    f"Expected plain values as options of a format, found {name}={value!r}",
                    hint="options are strings, numbers, booleans or None",
                )
        pattern = Pattern.parse(self.pattern)
        if self.key_columns and not pattern.captures:
            raise DefinitionError(
                f"Expected captures for key_columns=True, found none in {self.pattern!r}",
                hint="write landing/{day}.csv, or leave key_columns out",
            )
        options: dict[str, str | int | float | bool | None] = {
            "pattern": self.pattern,
            "settle_seconds": float(self.settle),
        }
        return Declared(
            sensor=Sensor("file", options),
            captures=pattern.captures,
            format=self.format,
            options=dict(self.options),
            key_columns=self.key_columns,
        )


def files(
    pattern: str,
    *,
    format: str = "",  # noqa: A002 - the word users know
    options: Mapping[str, Option] | None = None,
    key_columns: bool = False,
    settle: float = SETTLE_SECONDS,
) -> FilesSpec:
    """Watch files: `files("landing/{day}.csv")`. What is in braces makes the partition key.

    `format` is for names without a telling suffix; `options` go to the format's reader. With
    `key_columns=True` the captures become columns. `settle` is how many seconds a file that only a
    scan found must stay the same; one whose writing was watched does not wait.
    """
    return FilesSpec(pattern, format, options or {}, key_columns, settle)
