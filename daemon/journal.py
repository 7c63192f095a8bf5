"""The journal: arrivals as rows, with the sensor's memory of their paths, for one commit (P1)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from afresh.assets.planner.changes import Arrived
from afresh.sensors.base import Arrival, Batch
from afresh.storage.ledger import queries
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.state import JournalEvent, PendingEvent, Read

_encode = msgspec.json.Encoder().encode
MOST_KINDS = 10_000
STAGED_BYTES = 4 << 20
"""What a staged batch is taken for: nobody looks at the file before a worker does."""
MOST_BYTES = 64 << 20
"""Of batches that wait to be read: what is more stays in the ledger until it is read."""
ROW_BYTES = 1 << 10
"""About what an event's row takes beside the records in it."""


@dataclass(slots=True)
class Recorded:
    """What a batch becomes: the commit's updates, the planner's changes, the events' rows."""

    updates: list[Update] = field(default_factory=list)
    changes: list[Arrived] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


def batch_size(payload_bytes: int, staged: str) -> int:
    """About how many bytes of records an event has brought."""
    return payload_bytes or (STAGED_BYTES if staged else 0)


def _weight(row: Mapping[str, Any]) -> int:
    """What an event that brought records takes of memory; 0 for others."""
    return ROW_BYTES + len(row["payload"]) if row["payload"] or row["staged"] else 0


def _is_batch(arrival: Arrival) -> bool:
    """Of a stream nothing is remembered by path: its cursor says what is new."""
    return bool(arrival.payload or arrival.staged or arrival.position or arrival.kind != "arrived")


def _note_path(
    paths: dict[tuple[str, str], dict[str, Any]],
    gone: dict[tuple[str, str], dict[str, Any]],
    arrival: Arrival,
    event: Mapping[str, Any],
) -> None:
    """What is remembered of the path of an arrival: what a scan compares with."""
    path = {"sensor": event["sensor"], "uri": arrival.uri}
    key = (path["sensor"], path["uri"])
    if arrival.kind == "deleted":
        paths.pop(key, None)
        gone[key] = path
    elif arrival.identity is not None or not _is_batch(arrival):
        gone.pop(key, None)
        paths[key] = {**path, "identity": event["identity"], "seq": event["seq"]}


class Journal:
    """Gives events their numbers and remembers those that are pending.

    A stream that is paused or has halted goes on being recorded, without an end: of batches no more
    than `MOST_BYTES` are at hand in `pending`, of the others their numbers.
    """

    def __init__(self, seq: int, read: Read) -> None:
        self.seq = seq
        self.pending: dict[int, dict[str, Any]] = {}
        self._read = read
        self._left: set[int] = set()
        """Pending, in the ledger alone."""
        self._too_much: dict[int, None] = {}
        """To be left to the ledger once it has them."""
        self._bytes = 0
        self._newest: dict[tuple[str, str], int] = {}
        self._kinds: dict[int, str] = {}

    def restore(self, events: Iterable[PendingEvent]) -> None:
        """Remember what was pending when the daemon ended; batches stay where they are."""
        for event in events:
            row = {**event._asdict(), "payload": b""}
            if row.pop("payload_bytes") or event.staged:
                self._left.add(event.seq)
                self._note_kind(row)
            else:
                self.keep(row)

    def take(self, source: str, seqs: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of events of a source that are to be read; they stay at hand until they end.

        Raises LedgerUnavailable, LedgerUnusable, KeyError for one that is not pending.
        """
        left = {seq for seq in seqs if seq in self._left}
        if left:
            within = {"source": source, "first": min(left), "last": max(left)}
            for values in self._read(queries.PENDING_BATCHES, within):
                event = JournalEvent(*values)
                if event.seq in left:
                    self._left.discard(event.seq)
                    self.keep(event._asdict())
        for seq in seqs:
            self._too_much.pop(seq, None)
        return [self.pending[seq] for seq in seqs]

    def let_go(self) -> None:
        """What has been kept so far is durable: keep no more of it than `MOST_BYTES`."""
        for seq in self._too_much:
            self._bytes -= _weight(self.pending.pop(seq))
            self._left.add(seq)
        self._too_much.clear()

    def kind_of(self, seq: int | None, kind: str) -> str:
        """The kind of an event of late; of others what it is taken for."""
        return self._kinds.get(seq, kind) if seq is not None else kind

    def _note_kind(self, row: Mapping[str, Any]) -> None:
        if row["kind"] != "arrived":
            self._kinds[row["seq"]] = row["kind"]
            if len(self._kinds) > MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]

    def next_seq(self) -> int:
        """The next event's number."""
        self.seq += 1
        return self.seq

    def record(self, batches: Sequence[Batch], now: float) -> Recorded:
        """Turn batches of arrivals into one commit's worth of rows."""
        recorded = Recorded()
        paths: dict[tuple[str, str], dict[str, Any]] = {}
        gone: dict[tuple[str, str], dict[str, Any]] = {}
        for batch in batches:
            # A rename is a deletion and an arrival: the arrival decides what the unit is.
            for arrival in sorted(batch.arrivals, key=lambda item: item.kind != "deleted"):
                path = (batch.sensor, arrival.uri)
                if arrival.kind == "deleted" and arrival.partition is None:
                    gone[path] = {"sensor": path[0], "uri": path[1]}
                    continue
                row = self._event(batch.sensor, arrival)
                recorded.events.append(row)
                _note_path(paths, gone, arrival, row)
                if row["state"] == "pending":
                    recorded.changes.append(
                        Arrived(
                            row["source"],
                            row["partition"],
                            row["seq"],
                            "deleted" if arrival.kind == "deleted" else "arrived",
                            batch_size(len(row["payload"]), row["staged"]),
                        )
                    )
                    self.keep(row)
        if recorded.events:
            last = {row["sensor"]: row["observed_at"] for row in recorded.events}
            rows = [{"sensor": sensor, "observed_at": at} for sensor, at in last.items()]
            recorded.updates.append(Update("insert", "event", recorded.events))
            recorded.updates.append(Update("upsert", "last_event", rows))
        if gone:
            recorded.updates.append(Update("delete", "path", list(gone.values())))
        if paths:
            recorded.updates.append(Update("upsert", "path", list(paths.values())))
        cursors = {batch.sensor: batch.cursor for batch in batches if batch.cursor}
        if cursors:
            rows = [{"sensor": s, "value": v, "updated_at": now} for s, v in cursors.items()]
            recorded.updates.append(Update("upsert", "cursor", rows))
        return recorded

    def has_newer(self, seq: int) -> bool:
        """Whether a newer event of the same file is pending."""
        event = self.pending[seq]
        return self._newest.get((event["sensor"], event["uri"]), seq) > seq

    def keep(self, row: dict[str, Any]) -> None:
        """Note a pending event."""
        seq, weight = row["seq"], _weight(row)
        self.pending[seq] = row
        self._note_kind(row)
        if not weight:
            self._newest[row["sensor"], row["uri"]] = seq
            return
        self._bytes += weight
        if self._bytes > MOST_BYTES:
            self._too_much[seq] = None

    def close(self, seqs: Sequence[int], updates: Sequence[Update]) -> list[dict[str, Any]]:
        """These events are pending no more; their rows as the updates leave them."""
        ended = {
            row["seq"]: row for update in updates if update.table == "event" for row in update.rows
        }
        rows = [self.pending.pop(seq) for seq in seqs if seq in self.pending]
        for row in rows:
            self._bytes -= _weight(row)
            self._too_much.pop(row["seq"], None)
            if self._newest.get((row["sensor"], row["uri"])) == row["seq"]:
                del self._newest[row["sensor"], row["uri"]]
        return [{**row, **ended.get(row["seq"], {})} for row in rows]

    def request(
        self, kind: str, source: str, detail: str, now: float, epoch: int
    ) -> dict[str, Any]:
        """An event that is a change by itself: a request by hand, new code."""
        row = {
            "seq": self.next_seq(),
            "epoch": epoch,
            "sensor": "",
            "source": source,
            "partition": "",
            "kind": kind,
            "uri": "",
            "observed_at": now,
            "state": "ingested",
            "run": None,
            "detail": detail,
            "identity": "",
            "payload": b"",
            "staged": "",
            "position": "",
            "depth": 0,
        }
        self._note_kind(row)
        return row

    def again(self, source: str, partition: str, uri: str, now: float) -> dict[str, Any]:
        """An event that has what is there read again: new definitions read it otherwise."""
        event = self.request("code", source, "", now, 0)
        place = {"sensor": source, "partition": partition, "uri": uri}
        return event | place | {"epoch": None, "state": "pending"}

    def gap(self, source: str, detail: str, position: str, now: float) -> dict[str, Any]:
        """An event that says what is no more: `position` is JSON."""
        event = self.request("gap", source, detail, now, 0)
        return event | {"sensor": source, "epoch": None, "state": "dead", "position": position}

    def _event(self, sensor: str, arrival: Arrival) -> dict[str, Any]:
        # One that the sensor refuses is rejected as an ingest: its unit fails like any other.
        state = "pending"
        if arrival.kind == "gap":
            state = "dead"
        elif arrival.kind == "news":
            state = "unchanged"
        elif arrival.partition is None:
            state = "rejected" if arrival.problem else "unmatched"
        return {
            "seq": self.next_seq(),
            "epoch": None,
            "sensor": sensor,
            "source": sensor if arrival.partition is not None else "",
            "partition": arrival.partition or "",
            "kind": arrival.kind,
            "uri": arrival.uri,
            "observed_at": arrival.observed_at,
            "state": state,
            "run": None,
            "detail": arrival.problem or arrival.detail,
            "identity": _encode(arrival.identity).decode() if arrival.identity is not None else "",
            "payload": arrival.payload,
            "staged": arrival.staged,
            "position": arrival.position,
            "depth": arrival.depth,
        }
