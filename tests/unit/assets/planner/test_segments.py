"""Where a stream's rows are: what a range reads, what is merged, what may go."""

import pytest

from afresh.assets.planner.segments import (
    MOST_SMALL,
    SMALL_BYTES,
    Most,
    Segment,
    Slice,
    find_end,
    first_kept,
    joined_positions,
    slices,
    to_merge,
)


def made(*ends: int, size: int = 1, at: float = 0.0, schema: str = "") -> list[Segment]:
    starts = (0, *ends[:-1])
    return [
        Segment(start, end, f"u{start}", size, "h", schema, "", at)
        for start, end in zip(starts, ends, strict=True)
    ]


def read(segments: list[Segment], start: int, end: int) -> list[int]:
    rows = {segment.uri: list(range(segment.first, segment.end)) for segment in segments}
    return [
        row
        for piece in slices(segments, start, end)
        for row in rows[piece.segment.uri][piece.skip : piece.skip + piece.take]
    ]


def test_every_range_is_read_as_it_is() -> None:
    segments = made(3, 4, 10)
    for start in range(11):
        for end in range(start + 1, 11):
            assert read(segments, start, end) == list(range(start, end))


def test_no_rows_are_an_empty_slice() -> None:
    segments = made(3, 4)
    assert slices(segments, 2, 2) == [Slice(segments[-1], 0, 0)]
    assert slices([], 0, 0) == []


@pytest.mark.parametrize(("start", "end"), [(0, 4), (2, 12), (5, 11)])
def test_rows_that_are_gone_are_an_error(start: int, end: int) -> None:
    segments = [*made(3, 4, 10)[1:]]
    with pytest.raises(LookupError):
        slices([s for s in segments if s.first != 3 or start > 2], start, end)


def test_few_segments_are_left_as_they_are() -> None:
    assert to_merge(made(*range(1, MOST_SMALL))) == []


def test_many_small_ones_at_the_end_are_merged() -> None:
    segments = made(*range(1, MOST_SMALL + 1))
    assert to_merge(segments) == segments
    big = Segment(0, 5, "big", SMALL_BYTES[-1] + 1, "h")
    shifted = [Segment(s.first + 5, s.end + 5, s.uri, 1, "h") for s in segments]
    assert to_merge([big, *shifted]) == shifted
    assert to_merge([*shifted, big]) == [], "a big one at the end"


def test_one_of_another_tier_is_not_written_again_for_each_small_one() -> None:
    """Each row is written about once a tier."""
    segments: list[Segment] = []
    written = 0
    for row in range(5000):
        segments.append(Segment(row, row + 1, f"u{row}", 1024, "h"))
        found = to_merge(segments)
        if found:
            size = sum(segment.bytes for segment in found)
            written += size
            new = Segment(found[0].first, found[-1].end, f"m{row}", size, "h")
            segments[-len(found) :] = [new]
    assert [s.first for s in segments] == [0, *[s.end for s in segments[:-1]]]
    assert len(segments) < 3 * MOST_SMALL
    assert written < 5 * 5000 * 1024


def test_what_another_schema_made_stays_apart() -> None:
    old = made(*range(1, MOST_SMALL))
    new = [Segment(MOST_SMALL - 1 + i, MOST_SMALL + i, f"n{i}", 1, "h", "2") for i in range(5)]
    assert to_merge([*old, *new]) == []


def test_rows_that_are_kept_for_a_time_are_not_merged_over_a_long_one() -> None:
    segments = [Segment(i, i + 1, f"u{i}", 1, "h", "", "", i * 10.0) for i in range(MOST_SMALL)]
    assert to_merge(segments, keep_seconds=None) == segments
    assert to_merge(segments, keep_seconds=10_000.0) == segments
    assert to_merge(segments, keep_seconds=1_000.0) == []


def test_old_segments_go_but_for_the_last_and_for_what_is_held() -> None:
    segments = [Segment(i, i + 1, f"u{i}", 1, "h", "", "", float(i)) for i in range(5)]
    assert first_kept(segments, 0, before=2.5, held=99) == 3
    assert first_kept(segments, 0, before=2.5, held=1) == 1
    assert first_kept(segments, 0, before=99.0, held=99) == 4
    assert first_kept(segments, 3, before=1.5, held=99) == 3
    assert first_kept([], 7, before=1.5, held=99) == 7


@pytest.mark.parametrize(
    ("positions", "joined"),
    [
        ([], ""),
        (["", ""], ""),
        (['{"0":[1,5]}', '{"1":[0,2]}', '{"0":[5,9]}'], '{"0":[1,9],"1":[0,2]}'),
        (['{"id":"a"}'], '{"id":"a"}'),
        (['{"id":"a"}', '{"id":"b"}', '{"id":"c"}'], '[{"id":"a"},{"id":"c"}]'),
    ],
)
def test_positions_of_batches_become_one(positions: list[str], joined: str) -> None:
    assert joined_positions(positions) == joined


def test_a_run_is_given_no_more_rows_than_that() -> None:
    segments = made(10, 20, 30)
    assert find_end(segments, 0, 30, Most(rows=100)) == 30
    assert find_end(segments, 3, 30, Most(rows=5)) == 8
    assert find_end(segments, 3, 6, Most(rows=5)) == 6
    assert find_end(segments, 30, 30, Most(rows=5)) == 30
    assert find_end([], 0, 0, Most()) == 0


def test_a_run_is_given_no_more_bytes_than_that() -> None:
    segments = made(10, 20, 30, size=100)
    assert find_end(segments, 0, 30, Most(bytes=300)) == 30
    assert find_end(segments, 0, 30, Most(bytes=150)) == 15
    assert find_end(segments, 5, 30, Most(bytes=100)) == 15
    assert find_end(segments, 5, 30, Most(bytes=1)) == 6, "one row is always given"
    assert find_end(segments, 5, 30, Most(rows=3, bytes=100)) == 8


def test_what_is_merged_is_bounded() -> None:
    segments = made(*range(1, 60), size=SMALL_BYTES[-1])
    found = to_merge(segments)
    assert len(found) == MOST_SMALL
    assert found[-1] == segments[-1]
