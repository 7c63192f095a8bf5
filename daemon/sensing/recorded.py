"""What the ledger has of a sensor: paths with their identities, and the cursor."""

from collections.abc import Iterator, Mapping

from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.reader import Reader

PAGE = 1000
_ONE = "SELECT identity FROM path WHERE sensor = :sensor AND uri = :uri"
_PAGE = (
    "SELECT uri, identity FROM path WHERE sensor = :sensor AND uri > :after"
    " ORDER BY uri LIMIT :page"
)


class KnownPaths(Mapping[str, str]):
    """The uris that were recorded and their identities as JSON, as the ledger has them now.

    Nothing is kept in memory but a page, while it is walked through.
    """

    def __init__(self, reader: Reader, sensor: str) -> None:
        self._reader = reader
        self._sensor = sensor
        self._page: dict[str, str] = {}

    def __getitem__(self, uri: str) -> str:
        if uri in self._page:
            return self._page[uri]
        rows = self._reader.rows(_ONE, {"sensor": self._sensor, "uri": uri})
        if not rows:
            raise KeyError(uri)
        return str(rows[0][0])

    def __iter__(self) -> Iterator[str]:
        after = ""
        try:
            while rows := self._reader.rows(
                _PAGE, {"sensor": self._sensor, "after": after, "page": PAGE}
            ):
                # Who walks through asks for the value next.
                for uri, identity in rows:
                    self._page = {uri: identity}
                    yield uri
                after = rows[-1][0]
        finally:
            self._page = {}

    def __len__(self) -> int:
        sql = "SELECT COUNT(*) FROM path WHERE sensor = :sensor"
        return int(self._reader.rows(sql, {"sensor": self._sensor})[0][0])


class LedgerRecords:
    """What the ledger has of a sensor."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def known(self, sensor: str) -> KnownPaths:
        """Give the recorded uris, looked up when they are asked for."""
        return KnownPaths(self._reader, sensor)

    def paths(self, sensor: str) -> dict[str, str]:
        """Give each recorded uri and its identity as JSON."""
        paths = saved.load_paths(self._reader.rows, sensor)
        return {uri: path.identity for uri, path in paths.items()}

    def unmatched(self, sensor: str) -> frozenset[str]:
        """Name the uris that were recorded as unmatched."""
        rows = self._reader.rows(queries.UNMATCHED_PATHS, {"sensor": sensor})
        return frozenset(row[0] for row in rows)

    def cursor(self, sensor: str) -> str:
        """Give what its last batch left."""
        rows = self._reader.rows(queries.CURSOR, {"sensor": sensor})
        return str(rows[0][0]) if rows else ""
