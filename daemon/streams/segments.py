"""The segments of all streams, as the last turn left them: where a version's rows are."""

from collections.abc import Iterable, Mapping
from typing import Any

from afresh.assets.planner.content import Content
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.segments import Segment, slices, to_merge
from afresh.daemon.workers.task import Merge, Part
from afresh.storage.artifacts.paths import merged_uri
from afresh.storage.ledger import queries
from afresh.storage.ledger.state import Read

Unit = tuple[str, str]


class Streams:
    """By unit, in the order of rows. What is here is what the ledger has, or will have next."""

    def __init__(self) -> None:
        self._segments: dict[Unit, list[Segment]] = {}
        self._merging: dict[tuple[str, str], list[Segment]] = {}

    def units(self) -> list[Unit]:
        """All that have segments."""
        return list(self._segments)

    def segments(self, unit: Unit) -> list[Segment]:
        """All of a unit."""
        return self._segments.get(unit, [])

    def parts(
        self, unit: Unit, content: Content, start: int | None = None, end: int | None = None
    ) -> tuple[Part, ...]:
        """What a worker reads of a version: all of it, or from a row on and up to one."""
        span = content.span
        if span is None:
            return (Part(unit[1], content.version, content.uri, content.hash, content.rows),)
        first = span.start if start is None else start
        return tuple(
            Part(
                unit[1],
                content.version,
                piece.segment.uri,
                piece.segment.hash,
                piece.take,
                piece.skip,
                piece.take,
                piece.segment.schema_version,
            )
            for piece in slices(self.segments(unit), first, span.end if end is None else end)
        )

    def size(self, unit: Unit, start: int) -> int:
        """The bytes of the segments from a row on."""
        return sum(segment.bytes for segment in self.segments(unit) if segment.end > start)

    def append(self, unit: Unit, segment: Segment) -> list[str]:
        """Add rows at the end; give artifacts that nothing needs any more."""
        known = self._segments.setdefault(unit, [])
        needless = []
        while known and known[-1].first >= segment.first:
            # An empty one stood for a stream without rows.
            needless.append(known.pop().uri)
        known.append(segment)
        return needless

    def drop(self, unit: Unit, row: int) -> list[Segment]:
        """Forget the segments that end before a row or with it; give them."""
        known = self._segments.get(unit, [])
        gone = [segment for segment in known[:-1] if segment.end <= row]
        del known[: len(gone)]
        return gone

    def plan_merge(self, attempt: Attempt, asset: str, target: str) -> tuple[Merge, ...]:
        """What an attempt may merge beside its work."""
        unit = (asset, attempt.node.key)
        source = attempt.node.plan.source
        found = to_merge(self.segments(unit), source.keep_seconds if source is not None else None)
        if not found:
            return ()
        self._merging[attempt.run, asset] = found
        return (merge_of(unit, found, merged_uri(target)),)

    def take_merging(self, run: str, asset: str) -> list[Segment]:
        """The segments that an attempt was to merge; it is asked once."""
        return self._merging.pop((run, asset), [])

    def merge(self, unit: Unit, old: list[Segment], new: Segment) -> bool:
        """Put one segment in the place of others; False if they are not all there any more."""
        known = self._segments.get(unit, [])
        try:
            place = known.index(old[0])
        except ValueError:
            return False
        if known[place : place + len(old)] != old:
            return False
        known[place : place + len(old)] = [new]
        return True


def merge_of(unit: Unit, segments: Iterable[Segment], uri: str) -> Merge:
    """What a worker is told to make one of."""
    parts = tuple(Part(unit[1], 0, each.uri, each.hash, each.end - each.first) for each in segments)
    return Merge(unit[0], uri, parts)


def load_streams(read: Read) -> Streams:
    """Read the segments of all streams from the ledger."""
    streams = Streams()
    for row in read(queries.SEGMENTS, {}):
        asset, key, first, end, uri, size, digest, _, _, schema, position, _, at = row
        segment = Segment(first, end, uri, size, digest, schema, position, at)
        streams.append((asset, key), segment)
    return streams


def garbage_rows(uris: Iterable[str], now: float) -> list[Mapping[str, Any]]:
    """Artifacts to be deleted when nobody can be reading them any more."""
    return [{"uri": uri, "at": now} for uri in uris]
