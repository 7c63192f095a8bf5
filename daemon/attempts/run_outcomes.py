"""How a function's attempt ends: each output is kept, unchanged or rejected on its own.

A failure never touches the head (P6).
"""

from random import Random

import msgspec

from afresh.assets.manifest import Retry
from afresh.assets.planner.changes import Ended
from afresh.assets.planner.content import Content, Gone, State
from afresh.assets.planner.nodes import Attempt
from afresh.daemon.attempts.dispatch import lineage_rows
from afresh.daemon.attempts.outcome_rows import (
    STORAGE_RETRY,
    Outcome,
    backoff_seconds,
    end_row,
    failed_unit,
    failure,
    forget_failure,
    keep_version,
    rejection,
    validity,
)
from afresh.daemon.attempts.stream_outcomes import end_incremental
from afresh.daemon.streams.segments import Streams
from afresh.daemon.workers.task import Failed, Rejected, Result
from afresh.storage.ledger.commit import Update

_encode = msgspec.json.Encoder().encode


def end_run(
    attempt: Attempt, result: Result, now: float, random: Random, streams: Streams | None = None
) -> Outcome:
    """A function's run ended: each output is kept, unchanged or rejected on its own.

    Of a reader of new rows it is all or none.
    """
    streams = streams or Streams()
    if result.failed is not None:
        for asset in attempt.node.plan.assets:
            streams.take_merging(attempt.run, asset)
        return _fail_run(attempt, result.failed, now, random)
    if attempt.node.plan.incremental:
        return end_incremental(attempt, result, now, streams)
    node, plan = attempt.node, attempt.node.plan
    states: list[State] = []
    updates: list[Update] = []
    garbage: list[str] = []
    errors: list[str] = []
    run_state = "unchanged"
    version: int | None = None
    for position, output in enumerate(result.outputs):
        asset = plan.assets[position]
        if isinstance(output, Rejected):
            states.append(Gone.HELD)
            errors.append(output.error)
            updates += [
                rejection(attempt, output),
                end_row(
                    attempt,
                    position,
                    "rejected",
                    now,
                    error={"kind": "rejected", "error": output.error, "hint": output.hint},
                ),
                failure(asset, attempt, "rejected", output.error, now),
                failed_unit(asset, attempt, now),
            ]
            run_state = "rejected"
            continue
        head = node.heads[position]
        content, kept, needless = keep_version(attempt, position, output, attempt.epoch, now)
        states.append(content)
        updates += kept
        garbage += needless
        moved = head is None or head.version != content.version or node.deleted
        if moved and run_state == "unchanged":
            run_state = "succeeded"
        # Also of content that there was: from here on it is known by what this run read.
        updates += [
            validity(asset, node.key, attempt.epoch, content.version, attempt.run),
            Update(
                "upsert",
                "run_key",
                [
                    {
                        "asset": asset,
                        "partition": node.key,
                        "run_key": attempt.run_key,
                        "version": content.version,
                        "run": attempt.run,
                    }
                ],
            ),
            Update(
                "upsert",
                "unit",
                [
                    {
                        "asset": asset,
                        "partition": node.key,
                        "version": content.version,
                        "epoch": attempt.epoch,
                        "run_key": attempt.run_key,
                        "deleted": False,
                        "code_version": attempt.code,
                        "failed_run": None,
                        "updated_at": now,
                    }
                ],
            ),
            end_row(
                attempt,
                position,
                "succeeded" if moved else "unchanged",
                now,
                version=content.version,
            ),
        ]
        updates.append(forget_failure(asset, node.key))
        if attempt.forced:
            updates += _verify(attempt, position, content, now)
        version = content.version
    updates.append(Update("insert", "lineage", lineage_rows(attempt)))
    kind = "rejected" if errors else ""
    ended = Ended(attempt, attempt.epoch, tuple(states), kind, "; ".join(errors))
    error = {"kind": kind, "error": "; ".join(errors)} if errors else None
    return Outcome(attempt, ended, updates, garbage, run_state, error, version)


def _verify(attempt: Attempt, position: int, content: Content, now: float) -> list[Update]:
    """A forced run: equal content is a verification.

    Other content shows that it is not deterministic.
    """
    before = attempt.node.known.get(attempt.run_key)
    if before is None:
        return []
    old = before[position]
    if not isinstance(old, Content):
        return []
    differ = sorted(
        name
        for name in old.columns.keys() | content.columns.keys()
        if old.columns.get(name) != content.columns.get(name)
    )
    return [
        Update(
            "insert",
            "verification",
            [
                {
                    "run": attempt.run,
                    "asset": attempt.node.plan.assets[position],
                    "partition": attempt.node.key,
                    "version": content.version,
                    "equal": not differ,
                    "columns": _encode(differ).decode(),
                    "at": now,
                }
            ],
        )
    ]


def _fail_run(attempt: Attempt, failed: Failed, now: float, random: Random) -> Outcome:
    plan = attempt.node.plan
    function = plan.function
    retry = function.retry if function is not None else Retry()
    error = {"kind": failed.kind, "error": failed.error, "hint": failed.hint, "where": failed.where}
    state = "cancelled" if failed.kind == "cancelled" else "failed"
    updates = [end_row(attempt, i, state, now, error=error) for i in range(len(plan.assets))]
    retry_at = None
    if failed.kind == "storage":
        retry_at = now + backoff_seconds(STORAGE_RETRY, attempt.number, random)
    elif failed.kind != "cancelled" and attempt.tries < retry.attempts:
        retry_at = now + backoff_seconds(retry, attempt.tries, random)
    else:
        for asset in plan.assets:
            updates += [
                failure(asset, attempt, failed.kind, failed.error, now),
                failed_unit(asset, attempt, now),
            ]
    ended = Ended(attempt, attempt.epoch, None, failed.kind, failed.error, retry_at)
    return Outcome(attempt, ended, updates, state=state, error=error)
