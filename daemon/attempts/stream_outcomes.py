"""How an attempt at a stream ends: rows are appended, or the stream waits behind what failed.

The version, the reader's marks, the events and the dead letters are of one commit, so that each
row is published once whatever happens (P1, P2).
"""

from collections.abc import Mapping
from random import Random
from typing import Any

from afresh.assets.manifest import Retry
from afresh.assets.planner.changes import Ended
from afresh.assets.planner.content import Content, Gone
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.streams import (
    is_begun,
    is_staged,
    marks_after,
    marks_gone,
    newest,
)
from afresh.daemon.attempts.dispatch import lineage_rows
from afresh.daemon.attempts.outcome_rows import (
    STORAGE_RETRY,
    Outcome,
    backoff_seconds,
    end_row,
    failure,
    forget_failure,
    rejection,
    validity,
)
from afresh.daemon.streams.appending import append_version, lets_rows_go, take_merges
from afresh.daemon.streams.dead_letters import dead_rows, is_replay, replayed_rows
from afresh.daemon.streams.segments import Streams
from afresh.daemon.workers.task import Failed, Rejected, Result, Written
from afresh.storage.ledger.commit import Update

Events = Mapping[int, Mapping[str, Any]]
"""Pending events' rows by seq."""

INGEST_RETRY = Retry(attempts=3, delay_seconds=0.5, max_seconds=5.0)


def end_stream_ingest(
    attempt: Attempt,
    result: Result,
    epoch: int,
    now: float,
    random: Random,
    *,
    streams: Streams,
    events: Events,
    unread: int,
) -> Outcome:
    """Batches of a stream were read: a version with their rows, or dead letters alone."""
    updates, garbage = take_merges(attempt, result, now, streams)
    if result.failed is not None:
        # Its worker merged nothing: that is the last thing it does.
        return _fail_ingest(attempt, result.failed, epoch, now, random)
    node, name = attempt.node, attempt.node.plan.name
    updates += dead_rows(attempt, result.dead, now)
    updates += replayed_rows(attempt, result.dead, events)
    if node.trouble is not None:
        updates.append(forget_failure(name, node.key))
    output = result.outputs[0] if result.outputs else None
    assert not isinstance(output, Rejected)
    changed = output is not None or lets_rows_go(node, streams, now, unread)
    updates.append(_close(attempt, result, epoch if changed else None))
    if not changed:
        updates.append(end_row(attempt, 0, "unchanged", now, epoch=epoch))
        if node.trouble is not None:
            updates.append(_well(attempt, now))
        ended = Ended(attempt, epoch, node.history.latest or ())
        return Outcome(attempt, ended, updates, garbage, "unchanged")
    brought = [events[seq] for seq in attempt.events if seq in events]
    positions = [str(event["position"]) for event in brought if not is_replay(event)]
    content, rows = append_version(
        attempt, 0, output, epoch, now, streams=streams, positions=positions, unread=unread
    )
    unit = {
        "asset": name,
        "partition": node.key,
        "version": content.version,
        "epoch": epoch,
        "deleted": False,
        "code_version": attempt.code,
        "failed_run": None,
        "updated_at": now,
    }
    updates += [
        *rows,
        validity(name, node.key, epoch, content.version, attempt.run),
        Update("upsert", "unit", [unit]),
        end_row(attempt, 0, "succeeded", now, version=content.version, epoch=epoch),
    ]
    ended = Ended(attempt, epoch, (content,))
    return Outcome(attempt, ended, updates, garbage, "succeeded", version=content.version)


def _close(attempt: Attempt, result: Result, epoch: int | None) -> Update:
    """Each event is ingested, but for those of which no record was any good."""
    came_to = "unchanged" if epoch is None else "ingested"
    rows = [
        {
            "seq": seq,
            "state": "dead" if seq in result.emptied else came_to,
            "epoch": None if seq in result.emptied else epoch,
            "run": attempt.run,
            "detail": "none of its records can be published" if seq in result.emptied else "",
        }
        for seq in attempt.events
    ]
    return Update("patch", "event", rows)


def _well(attempt: Attempt, now: float) -> Update:
    node = attempt.node
    row = {
        "asset": node.plan.name,
        "partition": node.key,
        "failed_run": None,
        "updated_at": now,
    }
    return Update("upsert", "unit", [row])


def _fail_ingest(
    attempt: Attempt, failed: Failed, epoch: int, now: float, random: Random
) -> Outcome:
    """Nothing is lost and nothing overtakes: the batches wait, and what comes waits behind them."""
    name, key = attempt.node.plan.name, attempt.node.key
    error = {"kind": failed.kind, "error": failed.error, "hint": failed.hint, "where": failed.where}
    state = "cancelled" if failed.kind == "cancelled" else "failed"
    updates = [end_row(attempt, 0, state, now, error=error, epoch=epoch)]
    retry_at = None
    stored = failed.kind == "storage"
    if stored or (failed.kind != "cancelled" and attempt.tries < INGEST_RETRY.attempts):
        retry, count = (STORAGE_RETRY, attempt.number) if stored else (INGEST_RETRY, attempt.tries)
        retry_at = now + backoff_seconds(retry, count, random)
    else:
        unit = {"asset": name, "partition": key, "failed_run": attempt.run, "updated_at": now}
        updates += [
            failure(name, attempt, failed.kind, failed.error, now),
            Update("upsert", "unit", [unit]),
        ]
    ended = Ended(attempt, epoch, None, failed.kind, failed.error, retry_at)
    return Outcome(attempt, ended, updates, state=state, error=error)


def end_incremental(attempt: Attempt, result: Result, now: float, streams: Streams) -> Outcome:
    """New rows were read: all outputs get theirs and the marks move, or nothing of it happens."""
    updates, garbage = take_merges(attempt, result, now, streams)
    rejected = [output for output in result.outputs if isinstance(output, Rejected)]
    if rejected:
        outcome = _reject(attempt, result, rejected, now)
    else:
        outcome = _publish(attempt, result, now, streams)
    outcome.updates[:0] = updates
    outcome.garbage += garbage
    return outcome


def _publish(attempt: Attempt, result: Result, now: float, streams: Streams) -> Outcome:
    node, plan = attempt.node, attempt.node.plan
    begun = is_begun(node) and not attempt.replaces
    staged = is_staged(attempt)
    states: list[Content] = []
    updates: list[Update] = []
    garbage: list[str] = []
    version: int | None = None
    for place, output in enumerate(result.outputs):
        assert isinstance(output, Written)
        asset, made = plan.assets[place], newest(node)[place]
        moved = bool(output.rows) or not begun
        if moved:
            made, rows = append_version(attempt, place, output, attempt.epoch, now, streams=streams)
            updates += rows
            version = made.version
        elif output.uri:
            garbage.append(output.uri)
        assert made is not None
        states.append(made)
        if not staged and made != node.heads[place]:
            updates.append(
                validity(asset, node.key, attempt.epoch, made.version, attempt.run),
            )
        unit = {
            "asset": asset,
            "partition": node.key,
            "failed_run": None,
            "updated_at": now,
        }
        if not staged:
            unit |= {
                "version": made.version,
                # With more to read it is not settled there yet.
                "epoch": node.epoch if attempt.reads_to else attempt.epoch,
                "run_key": attempt.run_key,
                "deleted": False,
                "code_version": made.code,
            }
        updates += [
            Update("upsert", "unit", [unit]),
            end_row(
                attempt, place, "succeeded" if moved else "unchanged", now, version=made.version
            ),
            forget_failure(asset, node.key),
        ]
    updates += [
        Update("delete", "mark", _gone_rows(attempt)),
        Update("upsert", "mark", _mark_rows(attempt)),
        Update("insert", "lineage", lineage_rows(attempt)),
    ]
    state = "unchanged" if version is None else "succeeded"
    ended = Ended(attempt, attempt.epoch, tuple(states))
    return Outcome(attempt, ended, updates, garbage, state, version=version)


def _mark_rows(attempt: Attempt) -> list[dict[str, Any]]:
    return [
        {
            "asset": attempt.node.plan.name,
            "partition": attempt.node.key,
            "parameter": parameter,
            "end_row": mark.end,
            "origin_row": mark.origin,
            "run": attempt.run,
        }
        for parameter, mark in marks_after(attempt).items()
    ]


def _gone_rows(attempt: Attempt) -> list[dict[str, Any]]:
    name, key = attempt.node.name
    return [
        {"asset": name, "partition": key, "parameter": parameter}
        for parameter in marks_gone(attempt)
    ]


def _reject(attempt: Attempt, result: Result, rejected: list[Rejected], now: float) -> Outcome:
    """One mark for all outputs: where one is not valid, none is published."""
    plan, key = attempt.node.plan, attempt.node.key
    text = "; ".join(output.error for output in rejected)
    error = {"kind": "rejected", "error": text, "hint": rejected[0].hint}
    updates = [rejection(attempt, output) for output in rejected]
    for place, asset in enumerate(plan.assets):
        unit = {
            "asset": asset,
            "partition": key,
            "failed_run": attempt.run,
            "updated_at": now,
        }
        updates += [
            end_row(attempt, place, "rejected", now, error=error),
            failure(asset, attempt, "rejected", text, now),
            Update("upsert", "unit", [unit]),
        ]
    updates.append(Update("insert", "lineage", lineage_rows(attempt)))
    garbage = [
        output.uri for output in result.outputs if isinstance(output, Written) and output.uri
    ]
    states = tuple(Gone.HELD for _ in plan.assets)
    ended = Ended(attempt, attempt.epoch, states, "rejected", text)
    return Outcome(attempt, ended, updates, garbage, "rejected", error)
