"""The ledger checked against itself: what `afresh verify` reports of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Reads(Protocol):
    """A reader of any ledger."""

    def rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, /
    ) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        ...


class Finding(NamedTuple):
    """Something that cannot be: `check` is its short name, `detail` one sentence that names it."""

    check: str
    detail: str


_CHECKS = {
    # name: (sentence with {} for the columns, SQL that returns what is wrong)
    "head": (
        "{}[{}] has version {} as its head, which does not exist",
        """SELECT u.asset, u.partition, u.version FROM unit u WHERE u.version IS NOT NULL AND
        NOT EXISTS (SELECT 1 FROM version v WHERE v.asset = u.asset
        AND v.partition = u.partition AND v.version = u.version)""",
    ),
    "unit": (
        "{}[{}] has versions, but is no unit",
        """SELECT DISTINCT v.asset, v.partition FROM version v WHERE NOT EXISTS (
        SELECT 1 FROM unit u WHERE u.asset = v.asset AND u.partition = v.partition)""",
    ),
    "heads": (
        "{}[{}] has {} versions marked as its head",
        """SELECT asset, partition, COUNT(*) FROM version WHERE state = 'head'
        GROUP BY asset, partition HAVING COUNT(*) > 1""",
    ),
    "validity": (
        "{}[{}] is at version {} as of epoch {}, which does not exist",
        """SELECT w.asset, w.partition, w.version, w.epoch FROM validity w
        WHERE w.version IS NOT NULL AND NOT EXISTS (SELECT 1 FROM version v
        WHERE v.asset = w.asset AND v.partition = w.partition AND v.version = w.version)""",
    ),
    "validity_unit": (
        "{}[{}] has a state as of an epoch, but is no unit",
        """SELECT DISTINCT w.asset, w.partition FROM validity w WHERE NOT EXISTS (
        SELECT 1 FROM unit u WHERE u.asset = w.asset AND u.partition = w.partition)""",
    ),
    "current": (
        "{}[{}] has version {} as its head, but its last state is version {}",
        """SELECT u.asset, u.partition, COALESCE(u.version, 0), COALESCE(w.version, 0)
        FROM unit u JOIN validity w ON w.asset = u.asset AND w.partition = u.partition
        WHERE w.epoch = (SELECT MAX(x.epoch) FROM validity x
        WHERE x.asset = u.asset AND x.partition = u.partition)
        AND w.version IS NOT NULL AND COALESCE(u.version, 0) <> w.version""",
    ),
    "version_run": (
        "{}[{}] version {} was made by run {}, which does not exist",
        """SELECT v.asset, v.partition, v.version, v.run FROM version v WHERE NOT EXISTS (
        SELECT 1 FROM run r WHERE r.run = v.run AND r.asset = v.asset)""",
    ),
    "run_key": (
        "{}[{}] knows a run key for version {}, which does not exist",
        """SELECT k.asset, k.partition, k.version FROM run_key k WHERE NOT EXISTS (
        SELECT 1 FROM version v WHERE v.asset = k.asset AND v.partition = k.partition
        AND v.version = k.version)""",
    ),
    "lineage": (
        "run {} read {}[{}] at version {}, which does not exist",
        """SELECT l.run, l.asset, l.partition, l.version FROM lineage l
        WHERE l.version IS NOT NULL AND NOT EXISTS (SELECT 1 FROM version v
        WHERE v.asset = l.asset AND v.partition = l.partition AND v.version = l.version)""",
    ),
    "lineage_run": (
        "run {} has lineage, but does not exist",
        """SELECT DISTINCT l.run FROM lineage l WHERE NOT EXISTS (
        SELECT 1 FROM run r WHERE r.run = l.run)""",
    ),
    "numbers": (
        "{}[{}] has {} versions, but its highest is {}",
        """SELECT asset, partition, COUNT(*), MAX(version) FROM version
        GROUP BY asset, partition HAVING COUNT(*) <> MAX(version) OR MIN(version) <> 1""",
    ),
    "event_state": (
        "event {} is a {} in the state {}",
        """SELECT seq, kind, state FROM event WHERE state NOT IN ('pending', 'ingested',
        'unchanged', 'rejected', 'superseded', 'vanished', 'unmatched', 'dead')
        OR kind NOT IN ('arrived', 'deleted', 'code', 'request', 'tick', 'gap', 'news')""",
    ),
    "event_epoch": (
        "event {} is {}, but its epoch is {}",
        """SELECT seq, state, COALESCE(epoch, 0) FROM event
        WHERE (state = 'ingested' AND epoch IS NULL) OR epoch < 1""",
    ),
    "run_state": (
        "run {} of {} is in the state {}",
        """SELECT run, asset, state FROM run WHERE state NOT IN ('queued', 'running', 'succeeded',
        'unchanged', 'failed', 'rejected', 'interrupted', 'cancelled')""",
    ),
    "run_end": (
        "run {} of {} is {}, but has no end",
        """SELECT run, asset, state FROM run
        WHERE ended_at IS NULL AND state NOT IN ('queued', 'running')""",
    ),
    "version_state": (
        "{}[{}] version {} is in the state {}",
        """SELECT asset, partition, version, state FROM version
        WHERE state NOT IN ('head', 'kept', 'collected', 'suspect', 'tombstone')""",
    ),
    "epochs": (
        "{}[{}] version {} is of epoch {}, but version {} before it is of epoch {}",
        """SELECT b.asset, b.partition, b.version, b.epoch, a.version, a.epoch FROM version a
        JOIN version b ON b.asset = a.asset AND b.partition = a.partition
        AND b.version = a.version + 1 WHERE b.epoch < a.epoch AND EXISTS (
        SELECT 1 FROM event e WHERE e.source = b.asset AND e.epoch = b.epoch)""",
    ),
    "path": (
        "{} recorded {} with event {}, which does not exist",
        """SELECT p.sensor, p.uri, p.seq FROM path p WHERE NOT EXISTS (
        SELECT 1 FROM event e WHERE e.seq = p.seq)""",
    ),
}


def check_ledger(reader: Reads) -> list[Finding]:
    """Return what in the ledger contradicts itself; empty when all is well. Reads all of it."""
    findings: list[Finding] = []
    for name, (sentence, sql) in _CHECKS.items():
        findings += [
            Finding(name, sentence.format(*row).replace("[]", "")) for row in reader.rows(sql)
        ]
    return findings
