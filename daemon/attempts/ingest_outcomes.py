"""How a source's attempt ends: a version, nothing new, a rejection, a tombstone.

Invalid data never touches the head (P6).
"""

from random import Random
from typing import Any

from afresh.assets.manifest import Retry, Source
from afresh.assets.planner.changes import Ended
from afresh.assets.planner.content import Content, Gone, State
from afresh.assets.planner.nodes import Attempt
from afresh.daemon.attempts.outcome_rows import (
    STORAGE_RETRY,
    Outcome,
    backoff_seconds,
    close_events,
    end_row,
    failure,
    forget_failure,
    keep_version,
    rejection,
    validity,
)
from afresh.daemon.workers.task import Failed, Rejected, Result, Written
from afresh.storage.ledger.commit import Update

INGEST_RETRY = Retry(attempts=3, delay_seconds=0.5, max_seconds=5.0)
_TRANSIENT = frozenset({"killed", "timeout", "memory", "exited", "internal", "changed"})
"""What an ingest may survive the next time; data that cannot be read will not read better."""


def is_change(attempt: Attempt, result: Result | None) -> bool:
    """Whether the end of a source's attempt takes the next epoch.

    Its unit is something else now.
    """
    node, source = attempt.node, attempt.node.plan.source
    if source is None:
        return False
    if source.stream:
        return result is not None and result.failed is None and bool(result.outputs)
    head, latest = node.heads[0], node.history.latest
    current = latest[0] if latest is not None else None
    if attempt.kind == "delete":
        return head is not None and not (node.deleted and current == _deleted(source, head))
    output = result.outputs[0] if result is not None and result.outputs else None
    if result is not None and result.failed is not None and result.failed.kind == "vanished":
        return False
    if not isinstance(output, Written):
        holds = source.on_reject == "hold" and head is not None
        return holds and current is not Gone.HELD
    return not (isinstance(current, Content) and current.fingerprint == output.fingerprint)


def _deleted(source: Source, head: Content) -> State:
    """What a source's unit is once its file is deleted."""
    return {"propagate": Gone.DELETED, "fail": Gone.HELD}.get(source.on_delete, head)


def end_delete(attempt: Attempt, epoch: int, now: float) -> Outcome:
    """A source's file is gone: a tombstone; the source says what follows."""
    node, source = attempt.node, attempt.node.plan.source
    assert source is not None
    head = node.heads[0]
    states: tuple[State, ...] | None = None
    updates: list[Update] = []
    changed = is_change(attempt, None)
    unit: dict[str, Any] = {"asset": source.name, "partition": node.key, "updated_at": now}
    if head is not None:
        state = _deleted(source, head)
        states = (state,)
        if changed:
            unit |= {"deleted": True, "epoch": epoch}
            if state is Gone.DELETED:
                updates.append(validity(source.name, node.key, epoch, None, None))
    if node.trouble is not None:
        # The file that was refused is gone.
        unit |= {"failed_run": None}
        updates.append(forget_failure(source.name, node.key))
    if len(unit) > 3:
        updates.append(Update("patch", "unit", [unit]))
    updates.append(
        close_events(
            attempt, "ingested" if changed else "unchanged", epoch if changed else None, None
        )
    )
    return Outcome(attempt, Ended(attempt, epoch, states or ()), updates, state="")


def end_ingest(attempt: Attempt, result: Result, epoch: int, now: float, random: Random) -> Outcome:
    """A source's file was read: a version, nothing new, or a rejection."""
    node = attempt.node
    name = node.plan.name
    if result.failed is not None:
        return _fail_ingest(attempt, result.failed, epoch, now, random)
    output = result.outputs[0]
    if isinstance(output, Rejected):
        error = {
            "kind": "rejected",
            "error": output.error,
            "hint": output.hint,
            "where": output.where,
        }
        outcome = _reject_ingest(attempt, output.error, epoch, now, error)
        outcome.updates.append(rejection(attempt, output))
        return outcome
    changed = is_change(attempt, result)
    content, updates, garbage = keep_version(attempt, 0, output, epoch, now)
    state = "succeeded" if changed else "unchanged"
    if changed:
        updates.append(validity(name, node.key, epoch, content.version, attempt.run))
    unit = {
        "asset": name,
        "partition": node.key,
        "version": content.version,
        "epoch": epoch if changed else node.epoch,
        "deleted": False,
        "code_version": attempt.code,
        "failed_run": None,
        "updated_at": now,
    }
    updates += [
        Update("upsert", "unit", [unit]),
        end_row(attempt, 0, state, now, version=content.version, epoch=epoch),
        close_events(
            attempt, "ingested" if changed else "unchanged", epoch if changed else None, attempt.run
        ),
    ]
    if node.trouble is not None:
        updates.append(forget_failure(name, node.key))
    return Outcome(
        attempt, Ended(attempt, epoch, (content,)), updates, garbage, state, version=content.version
    )


def _fail_ingest(
    attempt: Attempt, failed: Failed, epoch: int, now: float, random: Random
) -> Outcome:
    name = attempt.node.plan.name
    error = {"kind": failed.kind, "error": failed.error, "hint": failed.hint, "where": failed.where}
    if failed.kind == "vanished":
        # Gone before it was read: its deletion is an arrival of its own.
        updates = [
            end_row(attempt, 0, "cancelled", now, error=error, epoch=epoch),
            close_events(attempt, "vanished", None, attempt.run),
        ]
        latest = attempt.node.history.latest
        return Outcome(
            attempt, Ended(attempt, epoch, latest or ()), updates, state="cancelled", error=error
        )
    stored = failed.kind == "storage"
    if stored or (failed.kind in _TRANSIENT and attempt.tries < INGEST_RETRY.attempts):
        retry, count = (STORAGE_RETRY, attempt.number) if stored else (INGEST_RETRY, attempt.tries)
        retry_at = now + backoff_seconds(retry, count, random)
        updates = [end_row(attempt, 0, "failed", now, error=error, epoch=epoch)]
        return Outcome(
            attempt,
            Ended(attempt, epoch, None, failed.kind, failed.error, retry_at),
            updates,
            state="failed",
            error=error,
        )
    outcome = _reject_ingest(attempt, failed.error, epoch, now, error)
    outcome.updates.append(failure(name, attempt, failed.kind, failed.error, now))
    return outcome


def _reject_ingest(
    attempt: Attempt, error: str, epoch: int, now: float, detail: dict[str, Any] | None = None
) -> Outcome:
    name, key = attempt.node.plan.name, attempt.node.key
    detail = detail or {"kind": "rejected", "error": error}
    updates = [
        end_row(attempt, 0, "rejected", now, error=detail, epoch=epoch),
        # Where readers are held by it, it is a change: its epoch must outlast a restart.
        close_events(
            attempt,
            "rejected",
            epoch if is_change(attempt, None) else None,
            attempt.run,
            error,
        ),
        failure(name, attempt, "rejected", error, now),
        Update(
            "upsert",
            "unit",
            [{"asset": name, "partition": key, "failed_run": attempt.run, "updated_at": now}],
        ),
    ]
    return Outcome(
        attempt,
        Ended(attempt, epoch, None, "rejected", error),
        updates,
        state="rejected",
        error=detail,
    )
