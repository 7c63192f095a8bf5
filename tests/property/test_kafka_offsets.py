"""Laws of places in a topic: whatever happened to it, every offset is read once or told of."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from afresh.sensors.kafka_topics.offsets import (
    Cursor,
    Log,
    Topic,
    begin,
    lag,
    position_text,
    ranges,
    reconcile,
    uri,
)

offsets = st.integers(0, 40)
partitions = st.integers(0, 4)
places = st.dictionaries(partitions, offsets, min_size=1)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    start, end = sorted((draw(offsets), draw(offsets)))
    agreed = draw(st.none() | st.integers(0, 45))
    return Log(start, end, draw(st.integers(-1, 5)), agreed)


@st.composite
def grown_topics(draw: st.DrawFn, cursor: Cursor) -> Topic:
    """A topic with the partitions of a cursor, and maybe more."""
    names = set(cursor.next) | draw(st.sets(partitions))
    return Topic(draw(st.sampled_from(["one", "two"])), {p: draw(logs()) for p in names})


cursors = st.builds(
    Cursor, st.just("one"), places, st.dictionaries(partitions, st.integers(0, 5)), places
)
cases = cursors.flatmap(lambda c: st.tuples(st.just(c), grown_topics(c), places))


@given(cursors)
def test_a_cursor_is_what_it_was_written_as(cursor: Cursor) -> None:
    assert Cursor.decode(cursor.encode()) == cursor


@pytest.mark.parametrize("text", ["{}", "[]", "x", '{"topic":1,"next":[],"epochs":{}}', "3"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own, or ours
        Cursor.decode(text)


@given(cases)
def test_where_it_goes_on_can_be_read(case: tuple[Cursor, Topic, dict[int, int]]) -> None:
    cursor, topic, ends = case
    after, _ = reconcile(cursor, topic, ends)
    assert after.topic_id == topic.id
    assert after.next.keys() == topic.logs.keys()
    for partition, log in topic.logs.items():
        assert log.start <= after.next[partition] <= max(log.end, log.agreed or 0)


@given(cases)
def test_it_is_settled_when_it_is_settled(case: tuple[Cursor, Topic, dict[int, int]]) -> None:
    cursor, topic, ends = case
    after, _ = reconcile(cursor, topic, ends)
    # A leader that showed less than it has does so no more.
    settled = Topic(
        topic.id,
        {
            p: Log(log.start, max(log.end, after.next[p]), log.epoch, None)
            for p, log in topic.logs.items()
        },
    )
    assert reconcile(after, settled, ends) == (after, [])


@given(cases)
def test_of_the_same_topic_every_offset_is_read_or_told(
    case: tuple[Cursor, Topic, dict[int, int]],
) -> None:
    """From each place that we were at to each that we go on at, the gaps lead without a hole."""
    cursor, topic, ends = case
    assume(topic.id == cursor.topic_id)
    after, gaps = reconcile(cursor, topic, ends)
    for partition, goes_on in after.next.items():
        place = cursor.next.get(partition)
        mine = [gap for gap in gaps if gap.partition == partition]
        if place is None:
            assert mine.pop(0).kind == "new"
            place = 0
        for gap in mine:
            if gap.kind == "lost":
                assert gap.start == place
                assert gap.end > gap.start
                place = gap.end
            else:
                assert gap.kind == "anew"
                assert gap.end == place
                place = gap.start
        assert place == goes_on


@given(cases)
def test_nothing_is_told_where_nothing_happened(
    case: tuple[Cursor, Topic, dict[int, int]],
) -> None:
    cursor, topic, ends = case
    logs = {p: Log(0, max(topic.logs[p].end, cursor.next[p])) for p in cursor.next}
    after, gaps = reconcile(cursor, Topic("one", logs), ends)
    assert gaps == []
    assert after.next == cursor.next


@given(cases)
def test_what_a_new_leader_has_is_not_read_again_though_it_shows_less(
    case: tuple[Cursor, Topic, dict[int, int]],
) -> None:
    cursor, topic, ends = case
    logs = {p: Log(0, topic.logs[p].end, 9, offset) for p, offset in cursor.next.items()}
    after, gaps = reconcile(cursor, Topic("one", logs), ends)
    assert gaps == []
    assert after.next == cursor.next


@given(cases)
def test_of_a_topic_made_anew_every_partition_is_told(
    case: tuple[Cursor, Topic, dict[int, int]],
) -> None:
    cursor, topic, ends = case
    assume(topic.id != cursor.topic_id)
    after, gaps = reconcile(cursor, topic, ends)
    told = {gap.partition: gap for gap in gaps if gap.kind == "made_anew"}
    assert told.keys() == cursor.next.keys()
    for partition, gap in told.items():
        assert gap.start == cursor.next[partition]
        seen = max(ends.get(partition, 0), cursor.ends.get(partition, 0))
        assert gap.end == max(gap.start, seen)
        assert gap.topic_id == "one"
    assert after.next == {p: log.start for p, log in topic.logs.items()}


@given(cases)
def test_every_gap_can_be_told(case: tuple[Cursor, Topic, dict[int, int]]) -> None:
    cursor, topic, ends = case
    after, gaps = reconcile(cursor, topic, ends)
    for gap in gaps:
        text = gap.tell("orders", after.next.get(gap.partition))
        assert f"partition {gap.partition} of 'orders'" in text
        if gap.kind != "new" and gap.end > gap.start:
            assert f"offsets {gap.start} to {gap.end - 1} ({gap.end - gap.start})" in text


@given(cursors, places)
def test_ends_are_kept_where_there_is_more_than_was_read(
    cursor: Cursor, seen: dict[int, int]
) -> None:
    kept = cursor.with_ends(seen)
    assert kept.ends == {p: e for p, e in seen.items() if p in cursor.next and e > cursor.next[p]}
    assert (kept.topic_id, kept.next, kept.epochs) == (cursor.topic_id, cursor.next, cursor.epochs)


def test_a_cursor_of_before_ends_were_kept_is_read() -> None:
    assert Cursor.decode('{"topic":"t","next":{"0":5},"epochs":{"0":1}}') == Cursor(
        "t", {0: 5}, {0: 1}
    )


@given(st.dictionaries(partitions, logs(), min_size=1), st.dictionaries(partitions, offsets))
def test_it_begins_where_it_is_told_or_says_what_is_gone(
    found: dict[int, Log], wanted: dict[int, int]
) -> None:
    topic = Topic("one", found)
    if any(p not in found or offset > found[p].end for p, offset in wanted.items()):
        with pytest.raises(ValueError, match="Expected offset"):
            begin(topic, wanted)
        return
    cursor, gaps = begin(topic, wanted)
    assert cursor.next == {p: max(log.start, wanted.get(p, 0)) for p, log in found.items()}
    assert [(gap.partition, gap.start, gap.end) for gap in gaps] == [
        (p, wanted[p], log.start)
        for p, log in sorted(found.items())
        if p in wanted and wanted[p] < log.start
    ]


@given(places, st.dictionaries(partitions, st.integers(0, 9)))
def test_ranges_lead_from_one_place_to_the_next(
    before: dict[int, int], steps: dict[int, int]
) -> None:
    after = {p: offset + steps.get(p, 0) for p, offset in before.items()}
    moved = ranges(before, after)
    assert {p: end for p, (_, end) in moved.items()} == {
        p: after[p] for p in before if after[p] > before[p]
    }
    assert all(start == before[p] for p, (start, _) in moved.items())
    assert json.loads(position_text(moved)) == {str(p): [s, e] for p, (s, e) in moved.items()}
    assert uri("orders", moved).startswith("kafka://orders/")
    assert lag(before, after) == sum(end - start for start, end in moved.values())
