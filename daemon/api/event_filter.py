"""Which events are asked for: by source, sensor, kind, state, partition, and from when to when.

The same for a query of the ledger and for lines as they come.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from afresh.assets.duration import seconds
from afresh.assets.errors import UsageError
from afresh.daemon.api.names import NEWEST

KINDS = ("arrived", "deleted", "code", "request", "tick", "gap", "news")
STATES = (
    "pending",
    "ingested",
    "unchanged",
    "rejected",
    "superseded",
    "vanished",
    "unmatched",
    "dead",
)


class EventFilter(NamedTuple):
    """None leaves out a condition. Bounds are included; times are seconds since 1970."""

    sources: tuple[str, ...] | None = None
    sensors: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    states: tuple[str, ...] | None = None
    partition: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    since: float | None = None
    until: float | None = None

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Say whether an event's row is asked for; `observed_at` in seconds."""
        seq, at = event["seq"], event["observed_at"]
        return (
            (self.sources is None or event["source"] in self.sources)
            and (self.sensors is None or event["sensor"] in self.sensors)
            and (self.kinds is None or event["kind"] in self.kinds)
            and (self.states is None or event["state"] in self.states)
            and (self.partition is None or event["partition"] == self.partition)
            and (self.first_seq is None or seq >= self.first_seq)
            and (self.last_seq is None or seq <= self.last_seq)
            and (self.since is None or at >= self.since)
            and (self.until is None or at <= self.until)
        )


def event_filter(params: Mapping[str, Any], now: float) -> EventFilter:
    """Read the conditions of `events`. Raises UsageError for words that there are not."""
    states = _words("--state", params.get("states"), STATES)
    if params.get("unmatched"):
        states = ("unmatched",)
    first_seq, since = _bound("--since", params.get("since"), now)
    last_seq, until = _bound("--until", params.get("until"), now, end=True)
    return EventFilter(
        sources=tuple(params.get("sources") or ()) or None,
        sensors=tuple(params.get("sensors") or ()) or None,
        kinds=_words("--kind", params.get("kinds"), KINDS),
        states=states,
        partition=params.get("partition"),
        first_seq=first_seq,
        last_seq=last_seq,
        since=since,
        until=until,
    )


def event_range(text: str) -> tuple[int, int | None]:
    """Read `A..B`, `A..` (to the last) or `A` of seqs, both included. Raises UsageError."""
    low, dots, high = text.partition("..")
    high = high if dots else low
    known = low.isdecimal() and (high.isdecimal() or (dots and not high))
    if not known or (high and read_seq(low) > read_seq(high)):
        raise UsageError(
            f"Expected seqs of events like 12..40, 12.. or 12, found {text!r}",
            hint="afresh events shows them; both ends are included",
        )
    return read_seq(low), read_seq(high) if high else None


def read_seq(digits: str) -> int:
    """Read a seq; of what is above every seq, the last that there can be."""
    return min(int(digits.lstrip("0")[:20] or "0"), NEWEST)


def _words(option: str, words: Any, known: tuple[str, ...]) -> tuple[str, ...] | None:
    for word in words or ():
        if word not in known:
            raise UsageError(
                f"Expected {option} one of {', '.join(known)}, found {word!r}",
                hint="give the option several times for several",
            )
    return tuple(words) if words else None


def _bound(
    option: str, text: str | None, now: float, *, end: bool = False
) -> tuple[int | None, float | None]:
    """Read a seq, a time (a day is all of it), or how long ago."""
    if not text:
        return None, None
    if text.isdecimal():
        return read_seq(text), None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            return None, now - seconds(text)
        except ValueError:
            raise UsageError(
                f"Expected a seq, a time like 2024-01-31T06:00Z, or 10m for ten minutes ago after"
                f" {option}, found {text!r}",
                hint="a time without a zone is UTC",
            ) from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    if end and len(text) == len("2024-01-31"):
        at += timedelta(days=1, microseconds=-1)
    return None, at.timestamp()
