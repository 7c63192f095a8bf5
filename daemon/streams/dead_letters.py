"""Records that could not be published: their rows, and what became of those that were replayed."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from afresh.assets.planner.nodes import Attempt
from afresh.daemon.workers.task import DeadRecord
from afresh.sensors.base import Arrival, Batch
from afresh.sensors.records import decode_records, encode_records
from afresh.storage.ledger.commit import Update

_MOST_BYTES = 1 << 20
REPLAY_SCHEME = "replay://"
"""The uri of an event that brings dead letters again begins with this; its position says which."""


def dead_rows(attempt: Attempt, dead: Sequence[DeadRecord], now: float) -> list[Update]:
    """A letter for each record that an ingest could not publish, committed with its end."""
    node = attempt.node
    rows = [
        {
            "seq": each.seq,
            "number": each.number,
            "source": node.plan.name,
            "partition": node.key,
            "place": each.place,
            "reason": each.reason,
            "record": each.record,
            "state": "dead",
            "run": attempt.run,
            "at": now,
            "replay_seq": None,
        }
        for each in dead
    ]
    return [Update("insert", "dead_letter", rows)] if rows else []


def is_replay(event: Mapping[str, Any]) -> bool:
    """Whether an event brings dead letters again."""
    return str(event["uri"]).startswith(REPLAY_SCHEME)


def replay_position(letters: Sequence[tuple[int, int]]) -> str:
    """The position of an event that brings these letters (seq, number) again, in this order."""
    return json.dumps({"replay": [list(letter) for letter in letters]}, separators=(",", ":"))


def letters_under_way(pending: Iterable[Mapping[str, Any]]) -> set[tuple[int, int]]:
    """The letters that events which are not read yet bring again."""
    return {letter for event in pending if is_replay(event) for letter in _letters_of(event)}


def replay_batch(source: str, letters: Sequence[tuple[int, int, bytes]], now: float) -> Batch:
    """Arrivals that bring letters (seq, number, record) again, so many at once as fit."""
    arrivals = []
    for some in _pages(letters):
        records = [record for _, _, data in some for record in decode_records(data)]
        first = some[0]
        arrival = Arrival(
            f"{REPLAY_SCHEME}{source}/{first[0]}.{first[1]}",
            "arrived",
            "",
            now,
            payload=encode_records(records),
            position=replay_position([letter[:2] for letter in some]),
        )
        arrivals.append(arrival)
    return Batch(source, tuple(arrivals))


def replaying_rows(events: Iterable[Mapping[str, Any]]) -> list[Update]:
    """The letters that these new events bring are tried by them, and by no others."""
    rows = [
        {"seq": seq, "number": number, "state": "replaying", "replay_seq": event["seq"]}
        for event in events
        for seq, number in _letters_of(event)
    ]
    return [Update("patch", "dead_letter", rows)] if rows else []


def _letters_of(event: Mapping[str, Any]) -> list[tuple[int, int]]:
    return [(seq, number) for seq, number in json.loads(event["position"])["replay"]]


def _pages(
    letters: Sequence[tuple[int, int, bytes]],
) -> Iterator[Sequence[tuple[int, int, bytes]]]:
    start = size = 0
    for place, (_, _, record) in enumerate(letters):
        if place > start and size + len(record) > _MOST_BYTES:
            yield letters[start:place]
            start, size = place, 0
        size += len(record)
    if start < len(letters):
        yield letters[start:]


def replayed_rows(
    attempt: Attempt, dead: Sequence[DeadRecord], events: Mapping[int, Mapping[str, Any]]
) -> list[Update]:
    """What became of the letters that an ingest tried again: published, or a new letter each."""
    again: dict[int, set[int]] = {}
    for each in dead:
        again.setdefault(each.seq, set()).add(each.number)
    rows = []
    for seq in attempt.events:
        event = events.get(seq)
        if event is None or not is_replay(event):
            continue
        for number, (old_seq, old_number) in enumerate(_letters_of(event)):
            failed = number in again.get(seq, ())
            state = "failed_again" if failed else "replayed"
            rows.append({"seq": old_seq, "number": old_number, "state": state})
    return [Update("patch", "dead_letter", rows)] if rows else []
