"""What came of an attempt: the rows of the commit that ends it, and the change for the planner.

Data first, metadata last: the artifact is complete before these rows make it visible (P2). A
failure or invalid data never touches the head (P6).
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from afresh.assets.manifest import Retry, Source
from afresh.assets.planner.changes import Ended
from afresh.assets.planner.content import Content, Gone, State
from afresh.assets.planner.nodes import Attempt
from afresh.daemon.dispatch import lineage_rows
from afresh.daemon.workers.task import Failed, Rejected, Result, Written
from afresh.sensors.base import Identity
from afresh.storage.ledger.commit import Update

_encode = msgspec.json.Encoder().encode
INGEST_RETRY = Retry(attempts=3, delay_seconds=0.5, max_seconds=5.0)
STORAGE_RETRY = Retry(attempts=0, delay_seconds=1.0, max_seconds=30.0)
"""A full disk is nobody's fault and no attempt: tried again until there is room."""
_TRANSIENT = frozenset({"killed", "timeout", "memory", "exited", "internal", "changed"})
"""What an ingest may survive the next time; data that cannot be read will not read better."""


@dataclass(slots=True)
class Outcome:
    """The updates of one ended attempt, the change.

    And artifacts that turned out to be needless.
    """

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


def is_change(attempt: Attempt, result: Result | None) -> bool:
    """Whether the end of a source's attempt takes the next epoch.

    Its unit is something else now.
    """
    node, source = attempt.node, attempt.node.plan.source
    if source is None:
        return False
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
                updates.append(_validity(source.name, node.key, epoch, None, None))
    if node.trouble is not None:
        # The file that was refused is gone.
        unit |= {"failed_run": None}
        updates.append(_forget_failure(source.name, node.key))
    if len(unit) > 3:
        updates.append(Update("patch", "unit", [unit]))
    updates.append(
        _close_events(
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
        outcome = _reject_ingest(attempt, output.error, epoch, now)
        outcome.updates.append(_rejection(attempt, output))
        return outcome
    changed = is_change(attempt, result)
    content, updates, garbage = _keep(attempt, 0, output, epoch, now)
    state = "succeeded" if changed else "unchanged"
    if changed:
        updates.append(_validity(name, node.key, epoch, content.version, attempt.run))
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
        _end_run(attempt, 0, state, now, version=content.version, epoch=epoch),
        _close_events(
            attempt, "ingested" if changed else "unchanged", epoch if changed else None, attempt.run
        ),
    ]
    if node.trouble is not None:
        updates.append(_forget_failure(name, node.key))
    return Outcome(
        attempt, Ended(attempt, epoch, (content,)), updates, garbage, state, version=content.version
    )


def end_run(attempt: Attempt, result: Result, now: float, random: Random) -> Outcome:
    """A function's run ended: each output is kept, unchanged or rejected on its own."""
    if result.failed is not None:
        return _fail_run(attempt, result.failed, now, random)
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
                _rejection(attempt, output),
                _end_run(
                    attempt,
                    position,
                    "rejected",
                    now,
                    error={"kind": "rejected", "error": output.error, "hint": output.hint},
                ),
                _failure(asset, attempt, "rejected", output.error, now),
            ]
            run_state = "rejected"
            continue
        head = node.heads[position]
        content, kept, needless = _keep(attempt, position, output, attempt.epoch, now)
        states.append(content)
        updates += kept
        garbage += needless
        moved = head is None or head.version != content.version or node.deleted
        if moved and run_state == "unchanged":
            run_state = "succeeded"
        if moved:
            updates.append(_validity(asset, node.key, attempt.epoch, content.version, attempt.run))
        updates += [
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
            _end_run(
                attempt,
                position,
                "succeeded" if moved else "unchanged",
                now,
                version=content.version,
            ),
        ]
        updates.append(_forget_failure(asset, node.key))
        if attempt.forced:
            updates += _verify(attempt, position, content, now)
        version = content.version
    updates.append(Update("insert", "lineage", lineage_rows(attempt)))
    kind = "rejected" if errors else ""
    ended = Ended(attempt, attempt.epoch, tuple(states), kind, "; ".join(errors))
    error = {"kind": kind, "error": "; ".join(errors)} if errors else None
    return Outcome(attempt, ended, updates, garbage, run_state, error, version)


def _keep(
    attempt: Attempt, position: int, output: Written, epoch: int, now: float
) -> tuple[Content, list[Update], list[str]]:
    """A version if its content is new for the unit, else the one that has it."""
    node = attempt.node
    known = node.by_fingerprint[position].get(output.fingerprint)
    if known is not None:
        return known, [], [output.uri] if output.uri else []
    node.numbers[position] += 1
    content = Content(
        node.numbers[position],
        output.fingerprint,
        output.columns,
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
    node, plan = attempt.node, attempt.node.plan
    function = plan.function
    retry = function.retry if function is not None else Retry()
    error = {"kind": failed.kind, "error": failed.error, "hint": failed.hint, "where": failed.where}
    state = "cancelled" if failed.kind == "cancelled" else "failed"
    updates = [_end_run(attempt, i, state, now, error=error) for i in range(len(plan.assets))]
    retry_at = None
    if failed.kind == "storage":
        retry_at = now + backoff_seconds(STORAGE_RETRY, attempt.number, random)
    elif failed.kind != "cancelled" and attempt.number < retry.attempts:
        retry_at = now + backoff_seconds(retry, attempt.number, random)
    else:
        for asset in plan.assets:
            updates += [
                _failure(asset, attempt, failed.kind, failed.error, now),
                Update(
                    "upsert",
                    "unit",
                    [
                        {
                            "asset": asset,
                            "partition": node.key,
                            "failed_run": attempt.run,
                            "updated_at": now,
                        }
                    ],
                ),
            ]
    ended = Ended(attempt, attempt.epoch, None, failed.kind, failed.error, retry_at)
    return Outcome(attempt, ended, updates, state=state, error=error)


def _fail_ingest(
    attempt: Attempt, failed: Failed, epoch: int, now: float, random: Random
) -> Outcome:
    name = attempt.node.plan.name
    error = {"kind": failed.kind, "error": failed.error, "hint": failed.hint, "where": failed.where}
    if failed.kind == "vanished":
        # Gone before it was read: its deletion is an arrival of its own.
        updates = [
            _end_run(attempt, 0, "cancelled", now, error=error, epoch=epoch),
            _close_events(attempt, "vanished", None, attempt.run),
        ]
        latest = attempt.node.history.latest
        return Outcome(
            attempt, Ended(attempt, epoch, latest or ()), updates, state="cancelled", error=error
        )
    stored = failed.kind == "storage"
    if stored or (failed.kind in _TRANSIENT and attempt.number < INGEST_RETRY.attempts):
        retry = STORAGE_RETRY if stored else INGEST_RETRY
        retry_at = now + backoff_seconds(retry, attempt.number, random)
        updates = [_end_run(attempt, 0, "failed", now, error=error, epoch=epoch)]
        return Outcome(
            attempt,
            Ended(attempt, epoch, None, failed.kind, failed.error, retry_at),
            updates,
            state="failed",
            error=error,
        )
    outcome = _reject_ingest(attempt, failed.error, epoch, now, error)
    outcome.updates.append(_failure(name, attempt, failed.kind, failed.error, now))
    return outcome


def _reject_ingest(
    attempt: Attempt, error: str, epoch: int, now: float, detail: dict[str, Any] | None = None
) -> Outcome:
    name, key = attempt.node.plan.name, attempt.node.key
    detail = detail or {"kind": "rejected", "error": error}
    updates = [
        _end_run(attempt, 0, "rejected", now, error=detail, epoch=epoch),
        # Where readers are held by it, it is a change: its epoch must outlast a restart.
        _close_events(
            attempt,
            "rejected",
            epoch if is_change(attempt, None) else None,
            attempt.run,
            error,
        ),
        _failure(name, attempt, "rejected", error, now),
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


def drop_run(attempt: Attempt, result: Result | None, now: float) -> Outcome:
    """The unit is in no definition any more: the run is over and nothing is published."""
    count = len(attempt.node.plan.assets)
    error = {"kind": "cancelled", "error": "the definitions changed: its asset is gone"}
    updates = [_end_run(attempt, i, "cancelled", now, error=error) for i in range(count)]
    outputs = result.outputs if result is not None else ()
    garbage = [output.uri for output in outputs if isinstance(output, Written) and output.uri]
    return Outcome(attempt, None, updates, garbage, "cancelled", error)


def path_row(attempt: Attempt, uri: str, identity: Identity) -> Update:
    """What was read of a file: a scan that finds this state has found nothing new."""
    row = {"sensor": attempt.node.plan.name, "uri": uri, "identity": _encode(identity).decode()}
    return Update("patch", "path", [row])


def backoff_seconds(retry: Retry, attempt: int, random: Random) -> float:
    """Exponential backoff with jitter: between half of it and all of it."""
    longest = min(retry.max_seconds, retry.delay_seconds * 2.0 ** min(attempt - 1, 30))
    return longest * (0.5 + 0.5 * random.random())


def _end_run(
    attempt: Attempt,
    position: int,
    state: str,
    now: float,
    *,
    version: int | None = None,
    epoch: int | None = None,
    error: dict[str, Any] | None = None,
) -> Update:
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


def _close_events(
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


def _validity(asset: str, key: str, epoch: int, version: int | None, run: str | None) -> Update:
    row = {"asset": asset, "partition": key, "epoch": epoch, "version": version, "run": run}
    return Update("upsert", "validity", [row])


def _failure(asset: str, attempt: Attempt, kind: str, error: str, now: float) -> Update:
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


def _forget_failure(asset: str, key: str) -> Update:
    return Update("delete", "failure", [{"asset": asset, "partition": key}])


def _rejection(attempt: Attempt, output: Rejected) -> Update:
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
