"""What the ledger has of the units of some assets: a start-up takes a few hundred at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from afresh.storage.ledger import queries
from afresh.storage.ledger.state import Read

PAGE = 1000


class UnitRow(NamedTuple):
    """A unit and the number of its head, as its row has it."""

    asset: str
    partition: str
    version: int | None
    epoch: int
    run_key: str
    deleted: bool
    code_version: str
    code_stale: bool
    failed_run: str | None
    updated_at: float


class FailureRow(NamedTuple):
    """A failed run key of a unit."""

    asset: str
    partition: str
    run_key: str
    run: str
    kind: str
    attempts: int
    at: float
    error: str


class RunKeyRow(NamedTuple):
    """A run key whose outcome is known."""

    asset: str
    partition: str
    run_key: str
    version: int
    run: str


class Units:
    """The rows of the units of these assets. Each method is one query."""

    def __init__(self, read: Read, assets: Sequence[str]) -> None:
        self._read = read
        self._names = {f"a{number}": asset for number, asset in enumerate(assets)}
        self._among = ", ".join(f":{name}" for name in self._names)

    def heads(self) -> list[UnitRow]:
        """Units, in order of asset and key."""
        # SQLite has no booleans of its own.
        return [
            row._replace(deleted=bool(row.deleted), code_stale=bool(row.code_stale))
            for row in map(UnitRow._make, self._rows(queries.UNITS))
        ]

    def failures(self) -> list[FailureRow]:
        """The run keys that failed."""
        return [FailureRow(*row) for row in self._rows(queries.FAILURES)]

    def run_keys(self) -> list[RunKeyRow]:
        """The run keys that made a version, or the same as one."""
        return [RunKeyRow(*row) for row in self._rows(queries.RUN_KEYS)]

    def inputs(self) -> list[tuple[Any, ...]]:
        """What the run of each head read: asset, partition, parameter, input's partition, version.

        Single units alone: what read all of an asset has no row a unit.
        """
        return self._rows(queries.INPUTS_OF_HEADS)

    def marks(self) -> list[tuple[Any, ...]]:
        """How far readers came: asset, partition, parameter, its stream, end row, origin row."""
        return self._rows(queries.MARKS)

    def contents(self, page: int = PAGE) -> Iterator[tuple[Any, ...]]:
        """All kept versions, a page at a time: one asset may have a hundred thousand."""
        after: dict[str, Any] = {"asset": "", "partition": "", "version": -1, "limit": page}
        while rows := self._rows(queries.CONTENTS, after):
            yield from rows
            after |= dict(zip(("asset", "partition", "version"), rows[-1], strict=False))

    def _rows(self, sql: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._read(sql.format(assets=self._among), {**(values or {}), **self._names})
