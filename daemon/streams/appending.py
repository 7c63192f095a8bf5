"""The rows that make a stream's next version: a segment more, a prefix less, small ones merged."""

from collections.abc import Sequence
from typing import Any

import msgspec

from afresh.assets.planner.content import Columns, Content, Span
from afresh.assets.planner.nodes import Attempt, Node
from afresh.assets.planner.segments import Segment, first_kept, joined_positions
from afresh.assets.planner.streams import append, drop, newest
from afresh.daemon.streams.segments import Streams, garbage_rows
from afresh.daemon.workers.task import Merged, Result, Written
from afresh.storage.ledger.commit import Update

_encode = msgspec.json.Encoder().encode


def append_version(
    attempt: Attempt,
    place: int,
    output: Written | None,
    epoch: int,
    now: float,
    *,
    streams: Streams,
    positions: Sequence[str] = (),
    unread: int = 0,
) -> tuple[Content, list[Update]]:
    """A version with the rows of `output`, if any, more than the newest; never an equal one.

    A source that keeps its rows for a time lets older ones go, up to `unread`: the first row that
    somebody has still to read.
    """
    node = attempt.node
    asset, head = node.plan.assets[place], newest(node)[place]
    unit = (asset, node.key)
    updates: list[Update] = []
    needless: list[str] = []
    position = joined_positions(positions)
    if output is None:
        assert head is not None
        assert head.span is not None
        span, fingerprint = head.span, head.fingerprint
        columns = {name: head.columns[name] for name in head.columns.names}
    else:
        span, fingerprint, columns = append(
            head, output.fingerprint, output.columns, output.rows, replaces=attempt.replaces
        )
        segment = _segment(output, span, position, now)
        needless += streams.append(unit, segment)
        updates.append(_segment_row(unit, segment, output.fingerprint, output.columns, attempt.run))
    first = _first_kept(node, streams, span.start, now, unread)
    if first > span.start:
        span, fingerprint, columns = drop(span, fingerprint, columns, first)
    if node.plan.source is not None and node.plan.source.keep_seconds is not None:
        gone = streams.drop(unit, min(first, _first_at_hand(node)))
        needless += [each.uri for each in gone]
        updates.append(_forget_rows(unit, gone))
    if needless:
        updates.append(Update("upsert", "garbage", garbage_rows(needless, now)))
    node.numbers[place] += 1
    content = Content(
        node.numbers[place],
        fingerprint,
        Columns.of(columns),
        "",
        "",
        span.end - span.start,
        attempt.code,
        attempt.cause[1],
        attempt.run,
        now,
        span,
    )
    metadata = dict(output.metadata) if output is not None else {}
    if position:
        metadata["position"] = position
    row = {
        "asset": asset,
        "partition": node.key,
        "version": content.version,
        "epoch": epoch,
        "fingerprint": fingerprint,
        "columns": _encode(columns).decode(),
        "rows": content.rows,
        "bytes": streams.size(unit, span.start),
        "hash": "",
        "uri": "",
        "schema_version": output.schema_version if output is not None else "",
        "code_version": attempt.code,
        "run": attempt.run,
        "created_at": now,
        "state": "kept",
        "metadata_json": _encode(metadata).decode(),
        "start_row": span.start,
        "end_row": span.end,
        "origin_row": span.origin,
    }
    updates.append(Update("insert", "version", [row]))
    return content, updates


def lets_rows_go(node: Node, streams: Streams, now: float, unread: int) -> bool:
    """Whether a source has rows that it keeps no longer."""
    head = node.heads[0]
    if head is None or head.span is None:
        return False
    return _first_kept(node, streams, head.span.start, now, unread) > head.span.start


def _segment(output: Written, span: Span, position: str, now: float) -> Segment:
    return Segment(
        span.end - output.rows,
        span.end,
        output.uri,
        output.bytes,
        output.hash,
        output.schema_version,
        position,
        now,
    )


def take_merges(
    attempt: Attempt, result: Result, now: float, streams: Streams
) -> tuple[list[Update], list[str]]:
    """What was merged beside takes its place, unless what it was made of is gone; and garbage.

    Versions do not change by it: they are ranges of rows.
    """
    updates: list[Update] = []
    garbage: list[str] = []
    merged = {each.asset: each for each in result.merged}
    for asset in attempt.node.plan.assets:
        old = streams.take_merging(attempt.run, asset)
        found = merged.get(asset)
        if found is None:
            continue
        unit = (asset, attempt.node.key)
        rows = merged_rows(unit, old, found, run=attempt.run, now=now, streams=streams)
        if rows is None:
            garbage.append(found.uri)
        else:
            updates += rows
    return updates, garbage


def merged_rows(
    unit: tuple[str, str],
    old: Sequence[Segment],
    found: Merged,
    *,
    run: str,
    now: float,
    streams: Streams,
) -> list[Update] | None:
    """The rows of a merge that takes the place of others; None if they are not there any more."""
    new = _merged_segment(old, found)
    if new is None or not streams.merge(unit, list(old), new):
        return None
    return [
        _forget_rows(unit, old[1:]),
        _segment_row(unit, new, found.fingerprint, found.columns, run),
        Update("upsert", "garbage", garbage_rows([each.uri for each in old], now)),
    ]


def _merged_segment(old: Sequence[Segment], merged: Merged) -> Segment | None:
    if not old or merged.rows != old[-1].end - old[0].first:
        return None
    return Segment(
        old[0].first,
        old[-1].end,
        merged.uri,
        merged.bytes,
        merged.hash,
        old[-1].schema_version,
        joined_positions([each.position for each in old]),
        old[-1].created_at,
    )


def _first_kept(node: Node, streams: Streams, start: int, now: float, unread: int) -> int:
    source = node.plan.source
    if source is None or source.keep_seconds is None:
        return start
    return first_kept(streams.segments(node.name), start, now - source.keep_seconds, unread)


def _first_at_hand(node: Node) -> int:
    """The first row of what a reader may still be given: as of an epoch that is owed, or now."""
    return min(
        (
            state.span.start
            for interval in node.history.intervals
            for state in interval.states
            if isinstance(state, Content) and state.span is not None
        ),
        default=0,
    )


def _segment_row(
    unit: tuple[str, str],
    segment: Segment,
    fingerprint: str,
    columns: dict[str, str],
    run: str,
) -> Update:
    row: dict[str, Any] = {
        "asset": unit[0],
        "partition": unit[1],
        "first_row": segment.first,
        "end_row": segment.end,
        "uri": segment.uri,
        "bytes": segment.bytes,
        "hash": segment.hash,
        "fingerprint": fingerprint,
        "columns": _encode(columns).decode(),
        "schema_version": segment.schema_version,
        "position": segment.position,
        "run": run,
        "created_at": segment.created_at,
    }
    return Update("upsert", "segment", [row])


def _forget_rows(unit: tuple[str, str], segments: Sequence[Segment]) -> Update:
    keys = [{"asset": unit[0], "partition": unit[1], "first_row": each.first} for each in segments]
    return Update("delete", "segment", keys)
