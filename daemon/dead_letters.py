"""Records that could not be published: their rows, and what became of those that were replayed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from afresh.assets.planner.nodes import Attempt
from afresh.daemon.workers.task import DeadRecord
from afresh.storage.ledger.commit import Update

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
        for number, (old_seq, old_number) in enumerate(json.loads(event["position"])["replay"]):
            failed = number in again.get(seq, ())
            state = "failed_again" if failed else "replayed"
            rows.append({"seq": old_seq, "number": old_number, "state": state})
    return [Update("patch", "dead_letter", rows)] if rows else []
