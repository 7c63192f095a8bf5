"""Where a stream's rows are: which segments a version reads, which are merged, which may go.

Pure rules on plain data. A segment is an artifact with some adjacent rows of the sequence.
"""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

MOST_SMALL = 16
"""So many small segments beside each other become one."""
SMALL_BYTES = (32 << 10, 512 << 10, 8 << 20)
"""What counts as small, by tiers: so that a row is written again a few times only."""
_MOST_MERGED = 64
MOST_MERGED_BYTES = MOST_SMALL * SMALL_BYTES[-1]
"""What becomes one: a worker holds it all."""
_SHARE_OF_KEEPING = 0.05
"""Of the time that rows are kept, the longest that one merged segment spans."""


class Segment(Struct, frozen=True):
    """Rows `first` to `end` (excluded) of a stream, in one artifact."""

    first: int
    end: int
    uri: str
    bytes: int
    hash: str
    schema_version: str = ""
    position: str = ""
    created_at: float = 0.0


class Slice(Struct, frozen=True):
    """Of a segment's artifact `take` rows from row `skip` on."""

    segment: Segment
    skip: int
    take: int


def slices(segments: Sequence[Segment], start: int, end: int) -> list[Slice]:
    """What holds the rows from `start` to `end` (excluded); of no rows an empty slice of any.

    Raises LookupError where rows are not there any more.
    """
    if start >= end:
        return [Slice(segments[-1], 0, 0)] if segments else []
    found: list[Slice] = []
    at = start
    for segment in segments[_first_behind(segments, start) :]:
        if segment.first >= end or segment.first > at:
            break
        upto = min(segment.end, end)
        found.append(Slice(segment, at - segment.first, upto - at))
        at = upto
    if at < end:
        raise LookupError(at)
    return found


class Most(Struct, frozen=True):
    """What one run is given at most of a stream's new rows; bytes are counted as they are stored.

    One row is always given.
    """

    rows: int = 1_000_000
    bytes: int = 256 << 20


def find_end(segments: Sequence[Segment], start: int, end: int, most: Most) -> int:
    """Where a run that reads from `start` on stops: at `end`, or before where that is too much.

    Within a segment its bytes are taken for spread over its rows evenly.
    """
    end = max(start, min(end, start + most.rows))
    left, at = float(most.bytes), start
    for segment in segments[_first_behind(segments, start) :]:
        if at >= end:
            break
        each = segment.bytes / max(1, segment.end - segment.first)
        upto = min(segment.end, end)
        if each * (upto - at) > left:
            return min(end, max(start + 1, at + int(left / each)))
        left -= each * (upto - at)
        at = upto
    return end


def _first_behind(segments: Sequence[Segment], row: int) -> int:
    """The place of the first segment that ends behind a row."""
    low, high = 0, len(segments)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if segments[middle].end <= row else (low, middle)
    return low


def to_merge(
    segments: Sequence[Segment],
    keep_seconds: float | None = None,
    *,
    least: int = MOST_SMALL,
    most_bytes: int = MOST_MERGED_BYTES,
) -> list[Segment]:
    """The small segments at the end that are to become one; none if they are less than `least`."""
    span = float("inf") if keep_seconds is None else keep_seconds * _SHARE_OF_KEEPING
    for lower, limit in zip((-1, *SMALL_BYTES), SMALL_BYTES, strict=False):
        found: list[Segment] = []
        size = 0
        for segment in reversed(segments[-_MOST_MERGED:]):
            last = found[-1] if found else segment
            same = segment.schema_version == last.schema_version
            newest = found[0].created_at if found else segment.created_at
            if segment.bytes > limit or not same or newest - segment.created_at > span:
                break
            size += segment.bytes
            if size > most_bytes:
                break
            found.append(segment)
        # Only those of the tier itself count: else a large one is written for every few small.
        if sum(segment.bytes > lower for segment in found) >= least:
            return found[::-1]
    return []


def first_kept(segments: Sequence[Segment], start: int, before: float, held: int) -> int:
    """The first row that stays when what was made before a time goes, segment by segment.

    `held` is a row up to which somebody has still to read. The last segment stays always.
    """
    for segment in segments[:-1]:
        if segment.created_at >= before or segment.end > held:
            break
        start = max(start, segment.end)
    return start


def joined_positions(positions: Sequence[str]) -> str:
    """The positions of adjacent batches as one.

    Ranges of named channels (`{"3": [100, 250]}`) become the range from the first to the last;
    of anything else the first and the last are kept.
    """
    decoded = [json.loads(text) for text in positions if text]
    if not decoded:
        return ""
    if all(map(_is_ranges, decoded)):
        ranges: dict[str, list[int]] = {}
        for each in decoded:
            for channel, (low, high) in each.items():
                known = ranges.setdefault(channel, [low, high])
                known[:] = min(known[0], low), max(known[1], high)
        return json.dumps(ranges, separators=(",", ":"))
    ends = decoded if len(decoded) < 2 else [decoded[0], decoded[-1]]
    return json.dumps(ends if len(ends) > 1 else ends[0], separators=(",", ":"))


def _is_ranges(position: Any) -> bool:
    return isinstance(position, dict) and all(
        isinstance(item, list)
        and len(item) == 2
        and all(isinstance(end, int) and not isinstance(end, bool) for end in item)
        for item in position.values()
    )
