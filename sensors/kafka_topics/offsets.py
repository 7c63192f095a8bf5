"""Where a stream of partitions stands, what is missing from it, and what that comes to. Pure.

Ranges are half-open. What is read moves `next` on; what cannot be read any more is a `Gap`, and
moves it too: it is recorded in the same transaction, so that no offset is skipped silently.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Next = Mapping[int, int]
"""The next offset to be read, by partition."""


class Cursor(msgspec.Struct, frozen=True):
    """What the ledger keeps: of which topic, the next offset and the leader's epoch by partition.

    A topic's `id` tells it from one of the same name that was made after it was deleted; an epoch
    tells a log from one that lost its end in between. `ends` are the ends of the logs that had more
    when they were seen last: of a topic that is deleted then they are all that is known.
    """

    topic_id: str
    next: dict[int, int] = {}
    epochs: dict[int, int] = {}
    ends: dict[int, int] = {}

    def encode(self) -> str:
        """Write it as JSON, the same text for the same places."""
        data: dict[str, Any] = {"topic": self.topic_id}
        data["next"] = {str(p): self.next[p] for p in sorted(self.next)}
        data["epochs"] = {str(p): self.epochs[p] for p in sorted(self.epochs)}
        if self.ends:
            data["ends"] = {str(p): self.ends[p] for p in sorted(self.ends)}
        return json.dumps(data, separators=(",", ":"))

    def with_ends(self, seen: Mapping[int, int]) -> "Cursor":
        """Give it with the ends of those logs that have more than was read."""
        ends = {p: end for p, end in seen.items() if end > self.next.get(p, end)}
        return Cursor(self.topic_id, self.next, self.epochs, ends)

    @staticmethod
    def decode(text: str) -> "Cursor":
        """Read what `encode` wrote. Raises ValueError for anything else."""
        data: Any = json.loads(text)
        try:
            return Cursor(
                topic_id=str(data["topic"]),
                next={int(p): int(offset) for p, offset in data["next"].items()},
                epochs={int(p): int(epoch) for p, epoch in data["epochs"].items()},
                ends={int(p): int(end) for p, end in data.get("ends", {}).items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            msg = f"Expected a cursor of a topic, found {text[:200]!r}"
            raise ValueError(msg) from error


class Log(msgspec.Struct, frozen=True):
    """What a broker says of a partition: its offsets are [start, end), its leader is of `epoch`.

    `agreed` is up to where the log is still the one that was read: below the cursor's next offset
    it lost its end, whatever was written since; above `end` its new leader does not show all yet.
    None where the broker does not know.
    """

    start: int
    end: int
    epoch: int = -1
    agreed: int | None = None


class Topic(msgspec.Struct, frozen=True):
    """What a broker says of a topic."""

    id: str
    logs: dict[int, Log]


class Gap(msgspec.Struct, frozen=True):
    """Something that must be known of a partition: [start, end) are the offsets concerned.

    `lost`: they are gone and were not read. `anew`: they were read, and the log does not have them
    any more; what is written under them from now on is read too. `made_anew`: the topic is another
    one; they were known of the old one, whose id is `topic_id`, and not read. `new`: a partition
    that was not there, which is no gap but news.
    """

    partition: int
    start: int
    end: int
    kind: Literal["lost", "anew", "made_anew", "new"]
    topic_id: str = ""

    @property
    def is_news(self) -> bool:
        """Whether nothing is missing for it."""
        return self.kind == "new"

    def tell(self, topic: str, goes_on_at: int | None) -> str:
        """Say it to people; `goes_on_at` is None where the partition is no more."""
        place = f"partition {self.partition} of {topic!r}"
        count = self.end - self.start
        offsets = f"offsets {self.start} to {self.end - 1} ({count})"
        if self.kind == "new":
            return f"{place} is new and is read from offset {goes_on_at}"
        if self.kind == "lost":
            return f"{place} lost {offsets} before they were read; it goes on at {goes_on_at}"
        if self.kind == "anew":
            return (
                f"{place} lost its end: {offsets} were read and are kept, the broker has them no "
                f"more; what is written from {goes_on_at} on is read as new"
            )
        lost = f"{offsets} were not read" if count else f"all that is known is kept, to {self.end}"
        anew = "the new one has it no more" if goes_on_at is None else f"it begins at {goes_on_at}"
        return (
            f"{topic!r} was deleted and made anew, its id was {self.topic_id}: of {place} {lost}; "
            f"what the old one had from {self.end} on is unknown; {anew}"
        )


def begin(topic: Topic, wanted: Mapping[int, int]) -> tuple[Cursor, list[Gap]]:
    """Begin at offsets; partitions that are not wanted elsewhere begin at their beginning.

    Raises ValueError for offsets that do not exist yet.
    """
    gaps: list[Gap] = []
    for partition, offset in wanted.items():
        log = topic.logs.get(partition)
        if log is None or offset > log.end:
            found = f"its end at {log.end}" if log is not None else "no such partition"
            msg = f"Expected offset {offset} in partition {partition}, found {found}"
            raise ValueError(msg)
    places: dict[int, int] = {}
    for partition, log in sorted(topic.logs.items()):
        offset = wanted.get(partition, log.start)
        if offset < log.start:
            gaps.append(Gap(partition, offset, log.start, "lost"))
        places[partition] = max(offset, log.start)
    return Cursor(topic.id, places, _epochs(topic)), gaps


def reconcile(
    cursor: Cursor, topic: Topic, known_ends: Mapping[int, int]
) -> tuple[Cursor, list[Gap]]:
    """Bring a cursor and what the broker says together: where to go on, and what must be known.

    `known_ends` are the ends of the logs as they were seen last: with those that the cursor kept
    they bound what a topic held that was deleted.
    """
    if topic.id != cursor.topic_id:
        return _made_anew(cursor, topic, known_ends)
    gaps: list[Gap] = []
    places: dict[int, int] = {}
    for partition, log in sorted(topic.logs.items()):
        offset = cursor.next.get(partition)
        if offset is None:
            gaps.append(Gap(partition, 0, 0, "new"))
            offset = 0
        kept = log.end if log.agreed is None else log.agreed
        if offset > kept:
            gaps.append(Gap(partition, kept, offset, "anew"))
            offset = kept
        if offset < log.start:
            gaps.append(Gap(partition, offset, log.start, "lost"))
            offset = log.start
        places[partition] = offset
    return Cursor(topic.id, places, _epochs(topic)), gaps


def _made_anew(
    cursor: Cursor, topic: Topic, known_ends: Mapping[int, int]
) -> tuple[Cursor, list[Gap]]:
    gaps = []
    for partition, offset in sorted(cursor.next.items()):
        end = max(offset, known_ends.get(partition, 0), cursor.ends.get(partition, 0))
        gaps.append(Gap(partition, offset, end, "made_anew", cursor.topic_id))
    places: dict[int, int] = {}
    for partition, log in sorted(topic.logs.items()):
        if partition not in cursor.next:
            gaps.append(Gap(partition, 0, 0, "new"))
        if log.start > 0:
            gaps.append(Gap(partition, 0, log.start, "lost"))
        places[partition] = log.start
    return Cursor(topic.id, places, _epochs(topic)), gaps


def _epochs(topic: Topic) -> dict[int, int]:
    return {partition: log.epoch for partition, log in topic.logs.items()}


def ranges(before: Next, after: Next) -> dict[int, tuple[int, int]]:
    """What lies between two places, by partition, without what did not move."""
    return {
        partition: (before[partition], offset)
        for partition, offset in sorted(after.items())
        if offset != before[partition]
    }


def position_text(moved: Mapping[int, tuple[int, int]]) -> str:
    """Write ranges as JSON: `{"3":[100,251]}`."""
    return json.dumps({str(p): list(moved[p]) for p in sorted(moved)}, separators=(",", ":"))


def uri(topic: str, moved: Mapping[int, tuple[int, int]]) -> str:
    """Name ranges of a topic: `kafka://orders/3:100-250`; the last offset is in it."""
    places = "+".join(f"{p}:{start}-{max(start, end - 1)}" for p, (start, end) in moved.items())
    return f"kafka://{topic}/{places}"


def lag(places: Next, ends: Next) -> int:
    """How many offsets are written and not yet read."""
    return sum(max(0, end - places.get(partition, 0)) for partition, end in ends.items())
