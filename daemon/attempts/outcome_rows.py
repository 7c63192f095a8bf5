"""What came of an attempt, and the rows that its kinds of end share.

Data first, metadata last: the artifact is complete before these rows make it visible (P2).
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from afresh.assets.manifest import Retry
from afresh.assets.planner.changes import Ended
from afresh.assets.planner.content import Columns, Content
from afresh.assets.planner.nodes import Attempt
from afresh.daemon.workers.task import Failed, Rejected, Result, Written
from afresh.sensors.base import Identity, ObjectIdentity
from afresh.storage.ledger.commit import Update

_encode = msgspec.json.Encoder().encode
STORAGE_RETRY = Retry(attempts=0, delay_seconds=1.0, max_seconds=30.0)
"""A full disk is nobody's fault and no attempt: tried again until there is room."""


@dataclass(slots=True)
class Outcome:
    """Of one ended attempt the updates, the planner's change, and artifacts that are needless."""

    attempt: Attempt
    ended: Ended | None
    """None: the definitions have changed and the unit is no more; nothing came of it."""
    updates: list[Update] = field(default_factory=list)
    garbage: list[str] = field(default_factory=list)
    state: str = ""
    error: dict[str, Any] | None = None
    version: int | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    """The rows of the events that it closes, as they are now."""


def keep_version(
    attempt: Attempt, position: int, output: Written, epoch: int, now: float
) -> tuple[Content, list[Update], list[str]]:
    """A version if its content is new for the unit, else the one that has it."""
    node = attempt.node
    known = node.by_fingerprint[position].get(output.fingerprint)
    if known is not None and attempt.forced and output.uri and known == node.heads[position]:
        return _mend(attempt, position, known, output)
    if known is not None:
        return known, [], [output.uri] if output.uri else []
    node.numbers[position] += 1
    content = Content(
        node.numbers[position],
        output.fingerprint,
        Columns.of(output.columns),
        output.uri,
        output.hash,
        output.rows,
        attempt.code,
        attempt.cause[1],
        attempt.run,
        now,
    )
    row = {
        "asset": node.plan.assets[position],
        "partition": node.key,
        "version": content.version,
        "epoch": epoch,
        "fingerprint": content.fingerprint,
        "columns": _encode(output.columns).decode(),
        "rows": output.rows,
        "bytes": output.bytes,
        "hash": output.hash,
        "uri": output.uri,
        "schema_version": output.schema_version,
        "code_version": attempt.code,
        "run": attempt.run,
        "created_at": now,
        "state": "kept",
        "metadata_json": _encode(output.metadata).decode(),
    }
    return content, [Update("insert", "version", [row])], []


def _mend(
    attempt: Attempt, position: int, known: Content, output: Written
) -> tuple[Content, list[Update], list[str]]:
    """The head's artifact was damaged or gone, and was made again: the version has the new one."""
    row = {
        "asset": attempt.node.plan.assets[position],
        "partition": attempt.node.key,
        "version": known.version,
        "uri": output.uri,
        "hash": output.hash,
        "bytes": output.bytes,
    }
    mended = msgspec.structs.replace(known, uri=output.uri, hash=output.hash)
    return mended, [Update("patch", "version", [row])], []


def drop_run(attempt: Attempt, result: Result | None, now: float) -> Outcome:
    """The unit is in no definition any more: the run is over and nothing is published."""
    count = len(attempt.node.plan.assets)
    error = {"kind": "cancelled", "error": "the definitions changed: its asset is gone"}
    updates = [end_row(attempt, i, "cancelled", now, error=error) for i in range(count)]
    outputs = result.outputs if result is not None else ()
    garbage = [output.uri for output in outputs if isinstance(output, Written) and output.uri]
    garbage += [merged.uri for merged in (result.merged if result is not None else ())]
    return Outcome(attempt, None, updates, garbage, "cancelled", error)


def begin_again(attempt: Attempt, failed: Failed, now: float) -> Outcome:
    """Nothing was done for an attempt: it is made again, at once and as things are by then."""
    count = len(attempt.node.plan.assets)
    error = {"kind": failed.kind, "error": failed.error}
    updates = [end_row(attempt, i, "cancelled", now, error=error) for i in range(count)]
    ended = Ended(attempt, attempt.epoch, None, failed.kind, failed.error, now)
    return Outcome(attempt, ended, updates, state="cancelled", error=error)


def path_row(attempt: Attempt, uri: str, identity: Identity | ObjectIdentity) -> Update:
    """What was read of a file: a scan that finds this state has found nothing new."""
    row = {"sensor": attempt.node.plan.name, "uri": uri, "identity": _encode(identity).decode()}
    return Update("patch", "path", [row])


def backoff_seconds(retry: Retry, attempt: int, random: Random) -> float:
    """Exponential backoff with jitter: between half of it and all of it."""
    longest = min(retry.max_seconds, retry.delay_seconds * 2.0 ** min(attempt - 1, 30))
    return longest * (0.5 + 0.5 * random.random())


def end_row(
    attempt: Attempt,
    position: int,
    state: str,
    now: float,
    *,
    version: int | None = None,
    epoch: int | None = None,
    error: dict[str, Any] | None = None,
) -> Update:
    """The end of a run, for one of its outputs."""
    return Update(
        "patch",
        "run",
        [
            {
                "run": attempt.run,
                "asset": attempt.node.plan.assets[position],
                "state": state,
                "ended_at": now,
                "version": version,
                "epoch": attempt.epoch if epoch is None else epoch,
                "error": _encode(error).decode() if error else "",
            }
        ],
    )


def close_events(
    attempt: Attempt, state: str, epoch: int | None, run: str | None, detail: str = ""
) -> Update:
    """The newest arrival gets the outcome, those before it were overwritten unread."""
    rows = [
        {"seq": seq, "state": "superseded", "epoch": None, "run": run, "detail": ""}
        for seq in attempt.events[:-1]
    ]
    rows.append(
        {"seq": attempt.events[-1], "state": state, "epoch": epoch, "run": run, "detail": detail}
    )
    return Update("patch", "event", rows)


def validity(asset: str, key: str, epoch: int, version: int | None, run: str | None) -> Update:
    """The unit is at this version from this epoch on (None: deleted)."""
    row = {"asset": asset, "partition": key, "epoch": epoch, "version": version, "run": run}
    return Update("upsert", "validity", [row])


def failure(asset: str, attempt: Attempt, kind: str, error: str, now: float) -> Update:
    """The last failed run key of a unit: a restart does not try it again."""
    return Update(
        "upsert",
        "failure",
        [
            {
                "asset": asset,
                "partition": attempt.node.key,
                "run_key": attempt.run_key,
                "run": attempt.run,
                "kind": kind,
                "attempts": attempt.number,
                "at": now,
                "error": error,
            }
        ],
    )


def failed_unit(asset: str, attempt: Attempt, now: float) -> Update:
    """The unit's last attempt failed; what it has stays (P6)."""
    row = {
        "asset": asset,
        "partition": attempt.node.key,
        "failed_run": attempt.run,
        "updated_at": now,
    }
    return Update("upsert", "unit", [row])


def forget_failure(asset: str, key: str) -> Update:
    """The unit is well again."""
    return Update("delete", "failure", [{"asset": asset, "partition": key}])


def rejection(attempt: Attempt, output: Rejected) -> Update:
    """Why data was not published, with its failure cases."""
    return Update(
        "upsert",
        "rejection",
        [
            {
                "run": attempt.run,
                "asset": output.asset,
                "partition": attempt.node.key,
                "error": output.error,
                "cases": _encode(output.cases).decode(),
                "total": output.total,
                "uri": output.uri,
            }
        ],
    )
