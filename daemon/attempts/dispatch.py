"""An attempt as a task for a worker, and as the rows that say it is under way."""

from collections.abc import Mapping
from typing import Any

import msgspec

from afresh.assets.planner.nodes import Attempt
from afresh.daemon.streams.segments import Streams
from afresh.daemon.workers.task import RecordBatch, Target, Task, TaskInput
from afresh.storage.artifacts.paths import artifact_uri

_encode = msgspec.json.Encoder().encode


def _kept(attempt: Attempt) -> dict[str, tuple[str, str]]:
    """Where the artifacts of the heads are, those of streams aside."""
    heads = zip(attempt.node.plan.assets, attempt.node.heads, strict=True)
    return {asset: (head.uri, head.hash) for asset, head in heads if head is not None and head.uri}


def make_task(
    attempt: Attempt,
    artifacts: str,
    path: str,
    streams: Streams | None = None,
    batches: tuple[RecordBatch, ...] = (),
    *,
    depth: int = 0,
) -> Task:
    """Describe an attempt; `path` is the file that an ingest reads, `batches` what a stream got."""
    node, plan = attempt.node, attempt.node.plan
    streams = streams or Streams()
    targets = tuple(
        Target(asset, artifact_uri(artifacts, asset, node.key, attempt.run, asset))
        for asset in plan.assets
    )
    known = {
        asset: head.fingerprint
        for asset, head in zip(plan.assets, node.heads, strict=True)
        if head is not None
    }
    merges = tuple(
        merge
        for target in (targets if plan.stream else ())
        for merge in streams.plan_merge(attempt, target.asset, target.uri)
    )
    if attempt.kind == "ingest":
        return Task(
            attempt.run,
            "ingest",
            plan.name,
            node.key,
            attempt.number,
            targets,
            path=path,
            outside=plan.source is not None and plan.source.outside,
            known=known,
            kept=_kept(attempt) if attempt.forced else {},
            events=attempt.events,
            batches=batches,
            merges=merges,
        )
    inputs = tuple(
        TaskInput(
            item.edge.parameter,
            item.edge.asset,
            tuple(
                piece
                for key, part in item.parts
                for piece in streams.parts(
                    (item.edge.asset, key),
                    part,
                    attempt.reads_from.get(item.edge.parameter),
                    attempt.reads_to.get(item.edge.parameter),
                )
            ),
        )
        for item in attempt.pinned
    )
    function = plan.function
    return Task(
        attempt.run,
        "run",
        plan.name,
        node.key,
        attempt.number,
        targets,
        inputs,
        known={} if attempt.replaces else known,
        kept=_kept(attempt) if attempt.forced else {},
        events=attempt.events,
        timeout_seconds=function.timeout_seconds if function is not None else None,
        appends=plan.incremental,
        merges=merges,
        depth=depth,
    )


def record_batch(event: Mapping[str, Any]) -> RecordBatch:
    """What an event brought to a stream, for a worker."""
    return RecordBatch(
        event["seq"],
        event["uri"],
        event["payload"],
        event["staged"],
        event["position"],
        event["observed_at"],
    )


def staged_uris(task: Task) -> list[str]:
    """All that a task may write."""
    return [*(target.uri for target in task.targets), *(merge.uri for merge in task.merges)]


def run_rows(attempt: Attempt, task: Task, now: float) -> list[dict[str, Any]]:
    """The rows of a run that starts, one for each of its outputs."""
    kind, event = attempt.cause
    return [
        {
            "run": attempt.run,
            "asset": target.asset,
            "partition": attempt.node.key,
            "epoch": attempt.epoch,
            "attempt": attempt.number,
            "run_key": attempt.run_key,
            "state": "running",
            "cause_kind": kind,
            "cause_event": event,
            "events": _encode(attempt.events).decode(),
            "reasons": _encode(attempt.reasons).decode(),
            "code_version": attempt.code,
            "staging": target.uri,
            "started_at": now,
        }
        for target in task.targets
    ]


def lineage_rows(attempt: Attempt) -> list[dict[str, Any]]:
    """What a run read: a row an input, of a whole asset one row for all its units."""
    rows = []
    for item in attempt.pinned:
        single = item.edge.own or not item.edge.producer.partitioned
        key, part = item.parts[0] if single else ("", None)
        rows.append(
            {
                "run": attempt.run,
                "parameter": item.edge.parameter,
                "asset": item.edge.asset,
                "reads": "own" if single else "all",
                "epoch": attempt.epoch,
                "partition": key,
                "version": part.version if part is not None else None,
            }
        )
    return rows
