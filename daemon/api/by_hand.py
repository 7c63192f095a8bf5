"""What people do to the journal: emit an event, bring events again."""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from afresh.assets.errors import UsageError
from afresh.assets.manifest import Source
from afresh.assets.nearest import did_you_mean
from afresh.assets.partition import Pattern
from afresh.daemon.api.event_filter import event_range
from afresh.daemon.api.names import NEWEST
from afresh.daemon.api.view import Controls, View
from afresh.sensors.base import Arrival, Batch, Identity, ObjectIdentity
from afresh.sensors.depth import MOST
from afresh.sensors.records import Record, encode_records
from afresh.storage.ledger import queries

_identity = msgspec.json.Decoder(Identity)
_object = msgspec.json.Decoder(ObjectIdentity)
_RANGE = (
    "SELECT seq, source, sensor, partition, kind, uri, state, payload, staged,"
    # Whether the version that its rows ended is wholly before the head's first row.
    " COALESCE((SELECT made.end_row <= head.start_row FROM run r"
    " JOIN version made ON made.asset = r.asset AND made.partition = r.partition"
    " AND made.version = r.version"
    " JOIN unit u ON u.asset = r.asset AND u.partition = r.partition"
    " JOIN version head ON head.asset = u.asset AND head.partition = u.partition"
    " AND head.version = u.version"
    " WHERE r.run = e.run AND r.asset = e.source), 0) FROM event e"
    " WHERE seq >= :first AND seq <= :last ORDER BY seq LIMIT :limit"
)
_LAST_OF_URI = (
    "SELECT partition FROM event WHERE source = :source AND uri = :uri AND kind != 'deleted'"
    " ORDER BY seq DESC LIMIT 1"
)
_LAST_OF_PARTITION = (
    "SELECT uri FROM event WHERE source = :source AND partition = :partition"
    " AND kind IN ('arrived', 'code') ORDER BY seq DESC LIMIT 1"
)
_PATH = "SELECT identity FROM path WHERE sensor = :sensor AND uri = :uri"
_STATE = "SELECT state, detail FROM event WHERE seq = :seq"
_NEWEST = "SELECT COALESCE(MAX(seq), 0) FROM event"
_READABLE = ("arrived", "code")
PAGE = 250
"""Events that are brought again at once: each may have 64 KB of records."""


async def emit(view: View, controls: Controls, params: Mapping[str, Any]) -> dict[str, Any]:
    """Make an event by hand: records of a stream, or another look at a file or object."""
    source = _source(view, params["source"])
    make = _records if source.stream else _look_again
    arrival = make(view, source, params)
    arrival = replace(arrival, depth=min(int(params.get("depth") or 0), MOST))
    batch = Batch(source.name, (arrival,))
    (seq,) = await controls.record(params["request"], "emit", [batch])
    return {
        "seq": seq,
        "source": source.name,
        "partition": arrival.partition,
        "kind": arrival.kind,
        "uri": arrival.uri,
    }


def _records(view: View, source: Source, params: Mapping[str, Any]) -> Arrival:
    """Give records as a batch of a stream; their place in it is 'by hand'."""
    if params.get("path"):
        raise UsageError(
            f"Expected data for {source.name}, which is a stream, found a path",
            hint="afresh emit SOURCE --data '{\"a\": 1}'",
        )
    values = params.get("data") or []
    if not values:
        raise UsageError(
            f"Expected data for {source.name}, which is a stream, found none",
            hint="afresh emit SOURCE --data '{\"a\": 1}', or @FILE, or - for what is piped in",
        )
    now = view.now()
    # Bytes that are not UTF-8 come from the command line as lone surrogates.
    key = params["key"].encode(errors="surrogateescape") if params.get("key") is not None else None
    records = [Record(b64decode(value), key, (), int(now * 1000)) for value in values]
    return Arrival(
        uri=f"emit:{params['request']}",
        kind="arrived",
        partition=params.get("partition") or "",
        observed_at=now,
        payload=encode_records(records),
    )


def _look_again(view: View, source: Source, params: Mapping[str, Any]) -> Arrival:
    """Look at a file or object again, though nothing says that it has changed."""
    if params.get("data"):
        raise UsageError(
            f"Expected a path or partition of {source.name}, which is no stream, found data",
            hint="afresh emit SOURCE --path PATH looks at it again",
        )
    uri, partition = params.get("path"), params.get("partition")
    if uri and any("\ud800" <= letter <= "\udfff" for letter in uri):
        raise UsageError(
            f"Expected a path of {source.name} as text, found {uri!r}",
            hint="write bytes that are not UTF-8 as %FF, as afresh events shows them",
        )
    if not uri and partition is None and source.captures:
        raise UsageError(
            f"Expected a path or partition of {source.name}, found neither",
            hint="afresh emit SOURCE --path PATH, or --partition KEY",
        )
    if not uri:
        uri = last_uri(view, source.name, partition or "")
        if uri is None:
            raise UsageError(
                f"Expected a partition of {source.name} that has arrived, found {partition!r}",
                hint=f"afresh events --source {source.name} shows what has",
            )
    else:
        partition = _partition_of(view, source, uri)
    return arrival_of(view, source, uri, partition or "")


def last_uri(view: View, source: str, partition: str) -> str | None:
    """Give what was last read for a unit of a source; None if nothing ever was."""
    rows = view.reader.rows(_LAST_OF_PARTITION, {"source": source, "partition": partition})
    return str(rows[0][0]) if rows else None


def _partition_of(view: View, source: Source, uri: str) -> str:
    rows = view.reader.rows(_LAST_OF_URI, {"source": source.name, "uri": uri})
    if rows:
        return str(rows[0][0])
    if source.sensor.kind == "file":
        pattern = Pattern.parse(str(source.sensor.options["pattern"]))
        key = pattern.match(uri)
        if key is not None:
            return key
        raise UsageError(
            f"Expected a path like {pattern.text!r}, found {uri!r}",
            hint="paths are relative to the project, as afresh events shows them",
        )
    raise UsageError(
        f"Expected a uri of {source.name} that has arrived, found {uri!r}",
        hint=f"afresh sensors scan {source.name} looks for what is new",
    )


def arrival_of(view: View, source: Source, uri: str, partition: str) -> Arrival:
    """Make an arrival of what is known of a path, so that no scan takes it for news again."""
    rows = view.reader.rows(_PATH, {"sensor": source.name, "uri": uri})
    text = str(rows[0][0]) if rows else ""
    identity: Identity | ObjectIdentity | None = None
    if text:
        identity = _identity.decode(text) if text.startswith("[") else _object.decode(text)
    return Arrival(uri, "arrived", partition, view.now(), identity=identity)


class _Event(NamedTuple):
    seq: int
    source: str
    sensor: str
    partition: str
    kind: str
    uri: str
    state: str
    payload: bytes
    staged: str
    dropped: bool


async def replay(view: View, controls: Controls, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Bring what a range of events brought once more; answer when that has come to an end."""
    request = str(params["request"])
    first, last = event_range(params["events"])
    last = min(_newest_before(view, request), NEWEST if last is None else last)
    rows: list[dict[str, Any]] = []
    looked: set[tuple[str, str]] = set()
    pages = 0
    while events := _page(view, first, last):
        first = events[-1].seq + 1
        page, batches = _rows_of(view, events, looked, again=bool(params.get("again")))
        rows += page
        if batches:
            # The first page is what tells a request that is repeated.
            name = f"{request}/{pages}" if pages else request
            seqs = await controls.record(name, "replay", batches)
            pages += 1
            brought = (row for batch in batches for row in page if _is_of(row, batch))
            for row, seq in zip(brought, seqs, strict=False):
                row["replay"] = seq
    replayed = [row for row in rows if row["replay"] is not None]
    units = list(dict.fromkeys((row["source"], row["partition"]) for row in replayed))
    in_time = await controls.wait(units, params.get("timeout")) if units else True
    for row in replayed:
        row["state"], detail = _ended(view, row["replay"])
        row["reason"] = why_waiting(in_time) if row["state"] == "pending" else detail or None
    return rows


def _newest_before(view: View, request: str) -> int:
    """Up to where the journal went before a request, which may be asked for the second time."""
    answered = view.reader.rows(queries.REQUEST, {"id": request})
    seqs = msgspec.json.decode(answered[0][2], type=list[int]) if answered else []
    return seqs[0] - 1 if seqs else int(view.reader.rows(_NEWEST, {})[0][0])


def _page(view: View, first: int, last: int) -> list[_Event]:
    rows = view.reader.rows(_RANGE, {"first": first, "last": last, "limit": PAGE})
    return [_Event(*row) for row in rows]


def _is_of(row: Mapping[str, Any], batch: Batch) -> bool:
    return bool(row["source"] == batch.sensor and not row["reason"])


def _rows_of(
    view: View, events: Sequence[_Event], looked: set[tuple[str, str]], *, again: bool
) -> tuple[list[dict[str, Any]], list[Batch]]:
    """A row for each event, and what is brought again; `looked` are files that were before."""
    sources = {source.name: source for source in view.manifest.sources}
    rows: list[dict[str, Any]] = []
    arrivals: dict[str, list[Arrival]] = {}
    for event in events:
        source = sources.get(event.source)
        reason = _skipped(event, source, again=again)
        if not reason and source is not None and not source.stream:
            if (event.source, event.uri) in looked:
                reason = "its file is looked at once, for an earlier event of this range"
            looked.add((event.source, event.uri))
        rows.append(
            {
                "event": event.seq,
                "replay": None,
                "source": event.source,
                "partition": event.partition,
                "kind": event.kind,
                "uri": event.uri,
                "state": "skipped",
                "reason": reason or None,
            }
        )
        if not reason and source is not None:
            arrivals.setdefault(event.source, []).append(_again(view, source, event))
    return rows, [Batch(name, tuple(found)) for name, found in arrivals.items()]


def why_waiting(in_time: bool) -> str:
    """Say why something that was brought again is not read when the answer is given."""
    if in_time:
        return "it waits: afresh status says for what"
    return "the time is over: it is still to be read"


def _skipped(event: _Event, source: Source | None, *, again: bool) -> str:
    """Say why an event cannot or need not be brought again; "" if it is."""
    if source is None:
        return "its source is no more" if event.source else "it belongs to no source"
    if event.kind not in _READABLE:
        return f"nothing was read for {event.kind!r}"
    if event.state == "pending":
        return "it has not been read yet"
    if not source.stream:
        return ""
    if event.uri.startswith("replay:") or event.state == "dead":
        return "its records are dead letters: afresh replay SOURCE"
    if not event.payload and not event.staged:
        return "its records are not kept any more"
    if event.state not in ("ingested", "unchanged") or again:
        return ""
    if event.dropped:
        return "its rows were there, and are dropped since: --again appends them once more"
    return "its rows are there: --again appends them once more"


def _again(view: View, source: Source, event: _Event) -> Arrival:
    if not source.stream:
        return arrival_of(view, source, event.uri, event.partition)
    return Arrival(
        uri=event.uri,
        kind="arrived",
        partition=event.partition,
        observed_at=view.now(),
        payload=event.payload,
        staged=event.staged,
    )


def _ended(view: View, seq: int) -> tuple[str, str]:
    rows = view.reader.rows(_STATE, {"seq": seq})
    return (str(rows[0][0]), str(rows[0][1])) if rows else ("pending", "")


def _source(view: View, name: str) -> Source:
    sources = {source.name: source for source in view.manifest.sources}
    if name in sources:
        return sources[name]
    raise UsageError(
        f"Expected the name of a source, found {name!r}",
        hint=did_you_mean(name, sources, "afresh sensors lists them"),
    )
