"""A project that was moved or copied: the ledger learns where its artifacts are now."""

from afresh.storage.artifacts.moved import located
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.state import Read

_PLACES = (
    ("version", ("asset", "partition", "version"), "uri", ""),
    ("segment", ("asset", "partition", "first_row"), "uri", ""),
    ("run", ("run", "asset"), "staging", " AND state IN ('queued', 'running')"),
)


def moved_rows(read: Read, artifacts: str) -> list[Update]:
    """The rows that name artifacts where they no longer are; nothing if nothing was moved."""
    updates = []
    for table, key, column, only in _PLACES:
        rows = read(
            f"SELECT {', '.join(key)}, {column} FROM {table}"  # noqa: S608 - names of our own
            f" WHERE {column} LIKE '/%' AND substr({column}, 1, :length) <> :base{only}",
            {"base": f"{artifacts}/", "length": len(artifacts) + 1},
        )
        found = [(row, located(row[-1], artifacts)) for row in rows]
        patches = [
            dict(zip(key, row[:-1], strict=True)) | {column: here}
            for row, here in found
            if here != row[-1]
        ]
        if patches:
            updates.append(Update("patch", table, patches))
    return updates
