"""How an attempt ends: of which kind it is, and what was read meanwhile."""

from typing import Protocol

from afresh.assets.planner.changes import DISPLACED
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.streams import first_unread
from afresh.daemon.attempts.ingest_outcomes import end_delete, end_ingest, is_change
from afresh.daemon.attempts.outcome_rows import Outcome, begin_again, drop_run, path_row
from afresh.daemon.attempts.run_outcomes import end_run
from afresh.daemon.attempts.stream_outcomes import end_stream_ingest
from afresh.daemon.journal import Journal
from afresh.daemon.ports import Ports
from afresh.daemon.streams.appending import lets_rows_go
from afresh.daemon.streams.segments import Streams
from afresh.daemon.turns import Finished
from afresh.daemon.workers.task import Result
from afresh.sensors.base import Identity, ObjectIdentity


class Reactive(Protocol):
    """What an end is worked out from: the reactor's parts."""

    planner: Planner
    journal: Journal
    streams: Streams
    ports: Ports


def end_attempt(reactor: Reactive, item: Finished, epoch: int, now: float) -> Outcome:
    """Say how an attempt ends: the rows of its end, and what the planner is told."""
    attempt, result = item.attempt, item.result
    if attempt not in reactor.planner.running:
        _forget_merges(reactor, attempt)
        return drop_run(attempt, result, now)
    if result is not None and result.failed is not None and result.failed.kind == DISPLACED:
        _forget_merges(reactor, attempt)
        return begin_again(attempt, result.failed, now)
    more = reactor.ports.on_end(attempt, result) if result is not None else []
    if attempt.kind == "run":
        assert result is not None
        outcome = end_run(attempt, result, now, reactor.ports.random, reactor.streams)
        outcome.updates += more
        return outcome
    taken = epoch if is_change(attempt, result) else reactor.planner.epoch
    if result is None:
        outcome = end_delete(attempt, taken, now)
    elif attempt.node.plan.stream:
        outcome = _end_stream(reactor, attempt, result, taken, now)
    else:
        outcome = end_ingest(attempt, result, taken, now, reactor.ports.random)
    identity = (result.identity or result.object_identity) if result is not None else None
    if identity is not None:
        _note_read(reactor, attempt, outcome, identity)
    waits = attempt.node.plan.stream and result is not None and result.failed is not None
    if not waits and (outcome.ended is None or outcome.ended.retry_at is None):
        outcome.events = reactor.journal.close(attempt.events, outcome.updates)
    return outcome


def _forget_merges(reactor: Reactive, attempt: Attempt) -> None:
    for asset in attempt.node.plan.assets:
        reactor.streams.take_merging(attempt.run, asset)


def _end_stream(
    reactor: Reactive, attempt: Attempt, result: Result, epoch: int, now: float
) -> Outcome:
    unread = first_unread(reactor.planner.graph, attempt.node)
    if result.failed is None and lets_rows_go(attempt.node, reactor.streams, now, unread):
        epoch = reactor.planner.epoch + 1
    pending, random = reactor.journal.pending, reactor.ports.random
    return end_stream_ingest(
        attempt,
        result,
        epoch,
        now,
        random,
        streams=reactor.streams,
        events=pending,
        unread=unread,
    )


def _note_read(
    reactor: Reactive, attempt: Attempt, outcome: Outcome, identity: Identity | ObjectIdentity
) -> None:
    """A scan that finds the state that was read has found nothing new.

    Not when a newer arrival of the file is recorded: its state is what scans compare with, and
    going back to this one would make one delivery two events (P1).
    """
    seq = attempt.events[-1]
    event = reactor.journal.pending[seq]
    if reactor.journal.has_newer(seq):
        return
    outcome.updates.append(path_row(attempt, event["uri"], identity))
    reactor.ports.on_read(attempt.node.plan.name, event["uri"], identity)
