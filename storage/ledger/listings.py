"""The filtered listings of the command line: each returns SQL text and its parameters.

Pages are in a stable order: `after` is the last key of the page before.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Query(NamedTuple):
    """SQL with named `:parameters`, and their values: `reader.rows(*query)`."""

    sql: str
    parameters: dict[str, Any]


class _Where:
    """Conditions and parameters as they gather."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.parameters: dict[str, Any] = {}

    def equal(self, column: str, value: Any) -> None:
        """Add `column = value`, unless the value is None."""
        if value is not None:
            self.compare(column, "=", value)

    def compare(self, column: str, sign: str, value: Any) -> None:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        self.conditions.append(f"{column} {sign} :{name}")

    def among(self, column: str, values: Sequence[Any] | None) -> None:
        """Add `column IN values`, unless None; no value at all matches nothing."""
        if values is None:
            return
        names = [f"p{len(self.parameters) + index}" for index in range(len(values))]
        self.parameters.update(zip(names, values, strict=True))
        listed = ", ".join(f":{name}" for name in names)
        self.conditions.append(f"{column} IN ({listed})" if names else "1 = 0")

    def query(self, select: str, order: str, limit: int | None) -> Query:
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        page = ""
        if limit is not None:
            self.parameters["limit"] = limit
            page = " LIMIT :limit"
        return Query(f"{select}{where} ORDER BY {order}{page}", self.parameters)


def events(
    *,
    sources: Sequence[str] | None = None,
    sensors: Sequence[str] | None = None,
    partition: str | None = None,
    states: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    first: int | None = None,
    last: int | None = None,
    since: float | None = None,
    until: float | None = None,
    after: int | None = None,
    newest_first: bool = False,
    limit: int | None = None,
) -> Query:
    """Return the journal by seq; bounds are included, but for `after`.

    Rows: seq, epoch, sensor, source, partition, kind, uri, observed_at, state, run, detail.
    """
    where = _Where()
    where.among("source", sources)
    where.among("sensor", sensors)
    where.equal("partition", partition)
    where.among("state", states)
    where.among("kind", kinds)
    for column, sign, bound in (
        ("seq", ">=", first),
        ("seq", "<=", last),
        ("observed_at", ">=", since),
        ("observed_at", "<=", until),
    ):
        if bound is not None:
            where.compare(column, sign, bound)
    if after is not None:
        where.compare("seq", "<" if newest_first else ">", after)
    return where.query(
        "SELECT seq, epoch, sensor, source, partition, kind, uri, observed_at, state, run, detail"
        " FROM event",
        "seq DESC" if newest_first else "seq",
        limit,
    )


def runs(
    *,
    assets: Sequence[str] | None = None,
    partition: str | None = None,
    states: Sequence[str] | None = None,
    after: str | None = None,
    newest_first: bool = False,
    limit: int | None = None,
) -> Query:
    """Return runs by id, which sorts by time; a run of several outputs has a row for each.

    `limit` counts runs: the outputs of one are never on two pages. Rows: run, asset, partition,
    epoch, attempt, run_key, state, cause_kind, cause_event, events, reasons, code_version, staging,
    started_at, ended_at, error, version.
    """
    where = _Where()
    where.among("asset", assets)
    where.equal("partition", partition)
    where.among("state", states)
    if after is not None:
        where.compare("run", "<" if newest_first else ">", after)
    order = "run DESC" if newest_first else "run"
    if limit is not None:
        page = where.query("SELECT DISTINCT run FROM run", order, limit)
        where.conditions.append(f"run IN ({page.sql})")
    return where.query(
        "SELECT run, asset, partition, epoch, attempt, run_key, state,"
        " COALESCE((SELECT kind FROM event WHERE seq = cause_event), cause_kind), cause_event,"
        " events, reasons, code_version, staging, started_at, ended_at, error, version FROM run",
        f"{order}, asset",
        None,
    )


def versions(
    asset: str, *, partition: str | None = None, after: tuple[str, int] | None = None,
    limit: int | None = None,
) -> Query:  # fmt: skip
    """Return an asset's versions by key, newest first; `after` is (partition, version).

    Rows: asset, partition, version, fingerprint, rows, bytes, created_at, run, code_version, uri,
    state, epoch, columns, hash, schema_version, metadata_json, whether it is the head, start_row,
    end_row, the first row that the stream has still, and whether it is suspect. The state is the
    stored one; the head's is shown as `head`.
    """
    where = _Where()
    where.equal("v.asset", asset)
    where.equal("v.partition", partition)
    if after is not None:
        where.parameters |= {"after_partition": after[0], "after_version": after[1]}
        where.conditions.append(
            "(v.partition > :after_partition"
            " OR (v.partition = :after_partition AND v.version < :after_version))"
        )
    return where.query(
        "SELECT v.asset, v.partition, v.version, v.fingerprint, v.rows, v.bytes, v.created_at,"
        " v.run, v.code_version, v.uri, v.state, v.epoch, v.columns, v.hash, v.schema_version,"
        " v.metadata_json, CASE WHEN u.version = v.version THEN 1 ELSE 0 END, v.start_row,"
        " v.end_row, (SELECT MIN(s.first_row) FROM segment s"
        " WHERE s.asset = v.asset AND s.partition = v.partition),"
        " EXISTS (SELECT 1 FROM validation w WHERE w.asset = v.asset"
        " AND w.partition = v.partition AND w.version = v.version AND w.state = 'suspect')"
        " OR (v.end_row IS NOT NULL AND EXISTS (SELECT 1 FROM validation w"
        " WHERE w.asset = v.asset AND w.partition = v.partition AND w.version = 0"
        " AND w.state = 'suspect' AND w.first_row < v.end_row AND w.end_row > v.start_row))"
        " FROM version v LEFT JOIN unit u ON u.asset = v.asset AND u.partition = v.partition",
        "v.partition, v.version DESC",
        limit,
    )


def dead_letters(
    *,
    source: str | None = None,
    states: Sequence[str] | None = None,
    limit: int | None = None,
) -> Query:
    """Return records that could not be published, newest events first.

    Rows: seq, number, source, partition, place, reason, record, state, run, at, replay_seq.
    """
    where = _Where()
    where.equal("source", source)
    where.among("state", states)
    return where.query(
        "SELECT seq, number, source, partition, place, reason, record, state, run, at, replay_seq"
        " FROM dead_letter",
        "seq DESC, number",
        limit,
    )


def rejections(*, asset: str | None = None, limit: int | None = None) -> Query:
    """Return rejected data, newest first.

    Rows: run, asset, partition, error, cases, total, uri. What could not even be read has no
    failure cases: it is in the table of runs alone.
    """
    where = _Where()
    where.equal("asset", asset)
    return where.query(_REJECTIONS, "run DESC, asset", limit)


_REJECTIONS = """
SELECT run, asset, partition, error, cases, total, uri FROM (
SELECT run, asset, partition, error, cases, total, uri FROM rejection
UNION ALL
SELECT run, asset, partition, error, '[]', 0, '' FROM run
WHERE state = 'rejected' AND NOT EXISTS (
  SELECT 1 FROM rejection WHERE rejection.run = run.run AND rejection.asset = run.asset
))
"""
