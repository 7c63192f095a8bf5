"""The rows of `versions`, `runs` and `events`: history, from the ledger alone, in stable pages."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from afresh.assets.errors import UsageError
from afresh.assets.nearest import did_you_mean
from afresh.assets.partition import format_ref, parse_ref
from afresh.assets.planner.segments import Segment, slices
from afresh.daemon.api.event_filter import event_filter, read_seq
from afresh.daemon.api.names import (
    NEWEST,
    Unique,
    heads_of_all,
    one_unit,
    one_version,
    parse_known,
)
from afresh.daemon.api.selection import recorded
from afresh.daemon.api.times import iso
from afresh.daemon.api.unreadable import refuse_deleted, refuse_without_data, tombstones
from afresh.daemon.api.view import View
from afresh.storage.ledger import listings, queries
from afresh.storage.references import parse_reference

_EVENT = ("seq", "epoch", "sensor", "source", "partition", "kind", "uri", "observed_at", "state")


async def versions(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List an asset's or a unit's versions, newest first by partition; the cursor is a ref."""
    ref = parse_known(view, params["asset"])
    gone, limit = tombstones(view, ref.asset), params.get("limit")
    if ref.version is not None:
        return [_listed(_one(view, one_version(view, ref)), gone)][:limit]
    if ref.partition is not None:
        one_unit(view, ref)
    after = _place(params["after"], gone) if params.get("after") else None
    query = listings.versions(ref.asset, partition=ref.partition, after=after, limit=limit)
    rows: list[dict[str, Any]] = []
    told = after[0] if after is not None else None
    for row in view.reader.rows(*query):
        if row[1] != told and row[1] in gone:
            rows.append(gone[row[1]])
        told = row[1]
        rows.append(_listed(row, gone))
    return rows[:limit]


def _place(cursor: str, gone: Mapping[str, Any]) -> tuple[str, int]:
    """Read the ref after which a page begins: of a version, or of a tombstone before them."""
    ref = parse_ref(cursor)
    number, key = ref.version, ref.partition or ""
    if number is None and key in gone:
        number = NEWEST
    if not isinstance(number, int):
        raise UsageError(
            f"Expected the ref of a version after --after, found {cursor!r}",
            hint="give the last ref of the page before",
        )
    return key, number


def _listed(row: Sequence[Any], gone: Mapping[str, Any]) -> dict[str, Any]:
    """Make a row of `versions`; what is deleted has no head."""
    made = version_row(row)
    if made["partition"] in gone and made["state"] == "head":
        made["state"] = "kept"
    return made


def _one(view: View, unique: Unique) -> Sequence[Any]:
    """Read one version with the fields of `storage.ledger.listings.versions`."""
    query = listings.versions(
        unique.asset,
        partition=unique.partition,
        after=(unique.partition, unique.version + 1),
        limit=1,
    )
    (row,) = view.reader.rows(*query)
    return row


def version_row(row: Sequence[Any]) -> dict[str, Any]:
    """Make a row of `versions` from what `storage.ledger.listings.versions` reads."""
    asset, partition, version, fingerprint, rows, size, created_at, run, code, uri, state = row[:11]
    stream = {} if row[18] is None else _stream_columns(row)
    return {
        "ref": Unique(asset, partition, version).ref,
        "asset": asset,
        "partition": partition,
        "version": version,
        "fingerprint": fingerprint,
        "rows": rows,
        "bytes": size,
        "created_at": iso(created_at),
        "run": run,
        "code_version": code,
        "uri": uri,
        "tags": [],
        "state": _state(state, is_head=bool(row[16]), is_suspect=bool(row[20])),
        **stream,
    }


def _state(state: str, *, is_head: bool, is_suspect: bool) -> str:
    if state not in ("head", "kept"):
        return state
    return "suspect" if is_suspect else "head" if is_head else "kept"


def _stream_columns(row: Sequence[Any]) -> dict[str, Any]:
    """Which rows of the stream a version is, and where those that it added came from.

    It is collected with the first of its rows.
    """
    start, end, first = row[17:20]
    metadata = json.loads(row[15] or "{}")
    found: dict[str, Any] = {
        "start_row": start,
        "end_row": end,
        "position": json.loads(metadata["position"]) if metadata.get("position") else None,
    }
    if start < end and (first is None or start < first):
        found["state"] = "collected"
    return found


async def readable(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give what a reference covers: rows of `versions`, with the hash of the stored bytes.

    One version, or of an asset named without a key the heads of all its units, in key order.
    """
    ref = parse_known(view, params["ref"])
    if found := heads_of_all(view, ref):
        return [_stored(view, unique) for unique in found]
    if ref.version in (None, "latest"):
        if ref.partition is None:
            refuse_without_data(view, ref.asset)
        refuse_deleted(view, *one_unit(view, ref))
    return [_stored(view, one_version(view, ref))]


def _stored(view: View, unique: Unique) -> dict[str, Any]:
    row = _one(view, unique)
    found = {**version_row(row), "hash": row[13]}
    if parse_reference(found["uri"]) is not None:
        found["original"] = _original(view, unique.asset)
    if row[18] is not None and found["state"] != "collected":
        found["parts"] = _parts(view, unique, row[17], row[18])
    return found


def _original(view: View, asset: str) -> dict[str, Any] | None:
    """What a source's own data is read by: its declaration and its schema as data."""
    source = next((s for s in view.manifest.sources if s.name == asset), None)
    if source is None:
        return None
    schema = view.manifest.schemas.get(source.schema)
    return {
        "source": msgspec.to_builtins(source),
        "schema": msgspec.to_builtins(schema) if schema is not None else None,
    }


def _parts(view: View, unique: Unique, start: int, end: int) -> list[dict[str, Any]]:
    """Give what holds the rows of a stream's version: of each artifact `take` from `skip` on."""
    key = {"asset": unique.asset, "partition": unique.partition}
    rows = view.reader.rows(queries.SEGMENTS_OF_UNIT, key)
    pieces = slices([Segment(*row[:5]) for row in rows], start, end)
    return [
        {"uri": p.segment.uri, "hash": p.segment.hash, "skip": p.skip, "take": p.take}
        for p in pieces
    ]


async def runs(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List runs in the order in which they were dispatched; the cursor is a run.

    `limit` counts runs: the outputs of one are never on two pages.
    """
    after, limit, text = params.get("after"), params.get("limit"), params.get("selection")
    if text:
        units = await recorded(view, text)
        query = listings.runs(assets=sorted({asset for asset, _ in units}), after=after)
        found = [row for row in view.reader.rows(*query) if (row[1], row[2]) in units]
        page = set(list(dict.fromkeys(row[0] for row in found))[:limit])
        found = [row for row in found if row[0] in page]
    else:
        found = view.reader.rows(*listings.runs(after=after, limit=limit))
    if after and not found and not view.reader.rows(queries.RUN, {"run": after}):
        raise UsageError(
            f"Expected a run after --after, found {after!r}",
            hint="give the last run of the page before",
        )
    return [run_row(row) for row in found]


def run_row(row: Sequence[Any]) -> dict[str, Any]:
    """Make a row of `runs` from what `storage.ledger.listings.runs` reads."""
    run, asset, partition, epoch, attempt, _, state, kind, event, events = row[:10]
    started_at, ended_at, error = row[13:16]
    return {
        "run": run,
        "asset": asset,
        "partition": partition,
        "epoch": epoch,
        "attempt": attempt,
        "state": state,
        "cause": {"kind": kind, "event": event},
        "events": len(json.loads(events)) if events else 0,
        "started_at": iso(started_at),
        "seconds": None if ended_at is None else round(max(0.0, ended_at - started_at), 6),
        "error": error_line(error) or None,
    }


def error_line(text: str) -> str:
    """Make one line of an error as the ledger keeps it: JSON with error, hint and where."""
    if not text.startswith("{"):
        return text
    try:
        kept = json.loads(text)
    except ValueError:
        return text
    where = f"{kept['where']}: " if kept.get("where") else ""
    hint = f" ({kept['hint']})" if kept.get("hint") else ""
    return f"{where}{kept.get('error', text)}{hint}"


async def events(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the journal in its order; the cursor is a seq."""
    wanted = event_filter(params, view.now())
    _require_known(view, "source", wanted.sources)
    _require_known(view, "sensor", wanted.sensors)
    query = listings.events(
        sources=wanted.sources,
        sensors=wanted.sensors,
        kinds=wanted.kinds,
        states=wanted.states,
        partition=wanted.partition,
        first=wanted.first_seq,
        last=wanted.last_seq,
        since=wanted.since,
        until=wanted.until,
        after=_seq(params.get("after")),
        limit=params.get("limit"),
    )
    return [event_row(row) for row in view.reader.rows(*query)]


def _require_known(view: View, column: str, names: Sequence[str] | None) -> None:
    """Refuse a name that neither the definitions nor the journal have. Both name the sources."""
    declared = [source.name for source in view.manifest.sources]
    for name in names or ():
        if name in declared:
            continue
        journal = f"SELECT 1 FROM event WHERE {column} = :name LIMIT 1"  # noqa: S608 - a word of ours
        if not view.reader.rows(journal, {"name": name}):
            raise UsageError(
                f"Expected the name of a {column} after --{column}, found {name!r}",
                hint=did_you_mean(name, declared, "afresh sensors lists them"),
            )


def event_row(row: Sequence[Any]) -> dict[str, Any]:
    """Make a row of `events` from what `storage.ledger.listings.events` reads."""
    told = {"observed_at": iso(row[7]), "detail": row[10] or None}
    return {**dict(zip(_EVENT, row, strict=False)), **told}


async def log(view: View, params: Mapping[str, Any]) -> dict[str, Any]:
    """Say what is known of one run, for `afresh logs`: its rows and its failure cases."""
    run = params["run"]
    rows = [run_row(row) for row in view.reader.rows(queries.RUN, {"run": run})]
    if not rows:
        raise UsageError(f"Expected a run, found {run!r}", hint="afresh runs lists them")
    cases = view.reader.rows(queries.REJECTION, {"run": run})
    return {
        "run": run,
        "rows": rows,
        "rejections": [
            {
                "ref": format_ref(asset, partition),
                "error": error_line(error),
                "cases": json.loads(text or "[]"),
                "total": total,
                "uri": uri,
            }
            for asset, partition, error, text, total, uri in cases
        ],
    }


def _seq(text: Any) -> int | None:
    if text in (None, ""):
        return None
    if not str(text).isdecimal():
        raise UsageError(
            f"Expected the seq of an event after --after, found {text!r}",
            hint="give the last seq of the page before",
        )
    return read_seq(str(text))
