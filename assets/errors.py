"""The errors of afresh.

::

    AfreshError                 error, hint, where: what, the way out, the place
    ├── DefinitionError         a declaration is wrong
    ├── UsageError              a call is wrong: unknown name, version, key, option
    ├── DataError               data is not what it should be
    │   ├── UnreadableData      bytes that are not of the format: file, row, column as far as known
    │   ├── InvalidData         data that breaks its schema: with the failure cases
    │   ├── ChangedData         it was replaced while it was read, or is not what was stored
    │   └── VanishedData        it was gone when it was to be read
    ├── ArtifactError           an artifact is absent, damaged or cannot be written
    │   └── StorageUnavailable  full, read-only: goes on when mended
    ├── LedgerError             the metadata database
    │   ├── LedgerConflict      a requirement of a commit does not hold
    │   ├── LedgerUnavailable   locked, read-only, full: goes on when mended
    │   └── LedgerUnusable      damaged, or of a newer release
    ├── SensorError             a sensor cannot see what it watches, or is not sure of it
    └── WorkerError             a worker died, hung or could not be started
"""


class AfreshError(Exception):
    """What afresh raises on purpose: *expected X, found Y*, a hint with the way out, the place."""

    def __init__(self, error: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        """One line for people: place, error, hint."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.error}" + (f" ({self.hint})" if self.hint else "")


class DefinitionError(AfreshError):
    """A declaration is wrong."""


class UsageError(AfreshError):
    """A call is wrong: an unknown name, version, key or option."""


class DataError(AfreshError):
    """Data is not what it should be."""


class UnreadableData(DataError):
    """Bytes that are not of the declared format; `row` is the first bad one, from 1, if known."""

    row: int | None = None


class InvalidData(DataError):
    """Data that breaks its schema; `cases` are at most 100 failure cases as plain rows."""

    def __init__(
        self,
        error: str,
        *,
        hint: str = "",
        where: str = "",
        cases: tuple[dict[str, str], ...] = (),
        total: int = 0,
    ) -> None:
        super().__init__(error, hint=hint, where=where)
        self.cases = cases
        self.total = total


class ChangedData(DataError):
    """Data was replaced while it was read, or is not what was stored."""


class VanishedData(DataError):
    """Data was gone when it was to be read."""


class ArtifactError(AfreshError):
    """An artifact is absent, damaged or cannot be written."""


class StorageUnavailable(ArtifactError):
    """An artifact cannot be written at present: full, read-only. Goes on when mended."""


class LedgerError(AfreshError):
    """The metadata database refused or failed."""


class LedgerConflict(LedgerError):
    """A requirement of a commit does not hold; nothing of the commit was applied."""


class LedgerUnavailable(LedgerError):
    """The ledger cannot be written at present: locked, read-only or full."""


class LedgerUnusable(LedgerError):
    """The ledger is damaged, or was written by a newer release."""


class SensorError(AfreshError):
    """A sensor cannot see what it watches, or is not sure that what it sees is meant."""


class WorkerError(AfreshError):
    """A worker process died, hung or could not be started."""
