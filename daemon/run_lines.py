"""Events, and runs that begin and end, as lines with the command line's keys."""

from typing import Any

from afresh.daemon.attempts.outcome_rows import Outcome
from afresh.daemon.lines import Line


def run_line(row: dict[str, Any]) -> Line:
    """A run that starts, with the command line's keys."""
    return {
        "type": "run",
        "run": row["run"],
        "asset": row["asset"],
        "partition": row["partition"],
        "epoch": row["epoch"],
        "attempt": row["attempt"],
        "state": row["state"],
        "cause": {"kind": row["cause_kind"], "event": row["cause_event"]},
        "events": 0,
        "started_at": row["started_at"],
        "seconds": None,
        "error": None,
    }


def end_line(outcome: Outcome, now: float) -> Line:
    """A run that ended, with the command line's keys."""
    attempt = outcome.attempt
    kind, event = attempt.cause
    return {
        "type": "run",
        "run": attempt.run,
        "asset": attempt.node.plan.name,
        "partition": attempt.node.key,
        "epoch": outcome.ended.epoch if outcome.ended is not None else attempt.epoch,
        "attempt": attempt.number,
        "state": outcome.state,
        "cause": {"kind": kind, "event": event},
        "events": len(attempt.events),
        "started_at": attempt.started_at,
        "seconds": now - attempt.started_at,
        "version": outcome.version,
        "error": outcome.error["error"] if outcome.error else None,
    }


def event_line(event: dict[str, Any]) -> Line:
    """An event as it is recorded; what it carries is not for lines."""
    return {"type": "event", **{key: event[key] for key in event if key != "payload"}}
