"""Dead letters that are brought again: in pages, and what became of each."""

from typing import Any

from afresh.assets.manifest import Sensor, Source
from afresh.assets.planner.nodes import NEVER, Attempt, Node
from afresh.assets.planner.topology import Plan
from afresh.daemon.journal import Journal
from afresh.daemon.streams import dead_letters
from afresh.daemon.streams.dead_letters import (
    dead_rows,
    is_replay,
    letters_under_way,
    replay_batch,
    replayed_rows,
    replaying_rows,
)
from afresh.daemon.workers.task import DeadRecord
from afresh.sensors.records import Record, decode_records, encode_records


def letter(seq: int, number: int, value: bytes = b"x") -> tuple[int, int, bytes]:
    return seq, number, encode_records([Record(value)])


def recorded(*letters: tuple[int, int, bytes]) -> list[dict[str, Any]]:
    return Journal(10, lambda *_: []).record([replay_batch("s", letters, 1.0)], 1.0).events


def attempt(*events: int) -> Attempt:
    plan = Plan("s", ("s",), "", Source("s", Sensor("x", {}), stream=True), None, False)
    return Attempt(Node(plan, "", NEVER), "ingest", 0, "", 1, events=events, run="r")


def test_letters_come_again_as_one_event_in_their_order() -> None:
    (event,) = recorded(letter(3, 1, b"a"), letter(4, 0, b"b"))
    assert is_replay(event)
    assert [record.value for record in decode_records(event["payload"])] == [b"a", b"b"]
    assert letters_under_way([event, {"uri": "x://1", "position": ""}]) == {(3, 1), (4, 0)}
    (update,) = replaying_rows([event])
    assert update.rows == [
        {"seq": 3, "number": 1, "state": "replaying", "replay_seq": 11},
        {"seq": 4, "number": 0, "state": "replaying", "replay_seq": 11},
    ]


def test_many_letters_are_several_events(monkeypatch: Any) -> None:
    monkeypatch.setattr(dead_letters, "_MOST_BYTES", 100)
    events = recorded(*(letter(1, number, b"x" * 40) for number in range(5)))
    assert len(events) == 3
    assert [number for event in events for _, number in letters_under_way([event])] == [*range(5)]
    assert recorded() == []


def test_each_is_replayed_or_dead_again_as_a_letter_of_its_own() -> None:
    (event,) = recorded(letter(3, 1), letter(4, 0), letter(5, 7))
    dead = (DeadRecord(11, 1, "{}", "still bad", b""), DeadRecord(9, 2, "{}", "other", b""))
    (update,) = replayed_rows(attempt(9, 11), dead, {11: event})
    assert [(row["seq"], row["number"], row["state"]) for row in update.rows] == [
        (3, 1, "replayed"),
        (4, 0, "failed_again"),
        (5, 7, "replayed"),
    ]
    (rows,) = dead_rows(attempt(9, 11), dead, 1.0)
    assert [(row["seq"], row["number"], row["state"]) for row in rows.rows] == [
        (11, 1, "dead"),
        (9, 2, "dead"),
    ]
    assert replayed_rows(attempt(9), (), {}) == dead_rows(attempt(9), (), 1.0) == []
