"""The journal: arrivals as rows, with the sensor's memory of their paths, for one commit (P1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from afresh.assets.planner.changes import Arrived
from afresh.sensors.base import Arrival, Batch
from afresh.storage.ledger.commit import Update

_encode = msgspec.json.Encoder().encode
MOST_KINDS = 10_000
STAGED_BYTES = 4 << 20
"""What a staged batch is taken for: nobody looks at the file before a worker does."""


@dataclass(slots=True)
class Recorded:
    """What a batch becomes: the commit's updates, the planner's changes, the events' rows."""

    updates: list[Update] = field(default_factory=list)
    changes: list[Arrived] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


def batch_size(event: Mapping[str, Any]) -> int:
    """About how many bytes of records an event has brought."""
    return len(event["payload"]) or (STAGED_BYTES if event["staged"] else 0)


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
    """Gives events their numbers and remembers those that are pending."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.pending: dict[int, dict[str, Any]] = {}
        self._newest: dict[tuple[str, str], int] = {}
        self._kinds: dict[int, str] = {}

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
                            batch_size(row),
                        )
                    )
                    self.keep(row)
        if recorded.events:
            recorded.updates.append(Update("insert", "event", recorded.events))
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
        self.pending[row["seq"]] = row
        self._note_kind(row)
        self._newest[row["sensor"], row["uri"]] = row["seq"]

    def close(self, seqs: Sequence[int], updates: Sequence[Update]) -> list[dict[str, Any]]:
        """These events are pending no more; their rows as the updates leave them."""
        ended = {
            row["seq"]: row for update in updates if update.table == "event" for row in update.rows
        }
        rows = [self.pending.pop(seq, None) for seq in seqs]
        for row in rows:
            if row is not None and self._newest.get((row["sensor"], row["uri"])) == row["seq"]:
                del self._newest[row["sensor"], row["uri"]]
        return [{**row, **ended.get(row["seq"], {})} for row in rows if row is not None]

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
