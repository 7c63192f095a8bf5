"""Runs that a daemon did not live to end: they become `interrupted` and count as attempts."""

from collections.abc import Sequence

import msgspec

from afresh.storage.artifacts.paths import merged_uri
from afresh.storage.ledger import queries
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.state import Read, RunRow

MOST_IN_A_ROW = 3
_ERROR = "the daemon died while this ran"
_encode = msgspec.json.Encoder().encode


def interrupted_rows(
    runs: Sequence[RunRow], read: Read, now: float
) -> tuple[list[Update], list[str]]:
    """The rows that end them, and what they staged. Three in a row on one run key are a failure."""
    error = _encode({"kind": "interrupted", "error": _ERROR}).decode()
    ended = [
        {
            "run": run.run,
            "asset": run.asset,
            "state": "interrupted",
            "ended_at": now,
            "error": error,
        }
        for run in runs
    ]
    updates = [Update("patch", "run", ended)]
    for run in runs:
        if run.run_key and _count_in_a_row(run, read) >= MOST_IN_A_ROW:
            failure = {
                "asset": run.asset,
                "partition": run.partition,
                "run_key": run.run_key,
                "run": run.run,
                "kind": "interrupted",
                "attempts": MOST_IN_A_ROW,
                "at": now,
                "error": f"{_ERROR}, {MOST_IN_A_ROW} times in a row",
            }
            unit = {
                "asset": run.asset,
                "partition": run.partition,
                "failed_run": run.run,
                "updated_at": now,
            }
            updates += [Update("upsert", "failure", [failure]), Update("upsert", "unit", [unit])]
    staged = [run.staging for run in runs if run.staging]
    return updates, [*staged, *map(merged_uri, staged)]


def _count_in_a_row(run: RunRow, read: Read) -> int:
    """Count this one, and those before it on the same run key that were interrupted too."""
    unit = {"asset": run.asset, "partition": run.partition, "limit": MOST_IN_A_ROW}
    count = 0
    for row in read(queries.RUNS_OF_UNIT, unit):
        past = RunRow(*row)
        if past.run_key != run.run_key or (past.run != run.run and past.state != "interrupted"):
            break
        count += 1
    return count
