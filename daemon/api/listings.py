"""The rows of `versions`, `runs` and `events`: history, from the ledger alone, in stable pages."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from afresh.assets.errors import UsageError
from afresh.assets.partition import format_ref, parse_ref
from afresh.daemon.api.names import Unique, one_version, parse_known
from afresh.daemon.api.selection import chosen
from afresh.daemon.api.times import iso
from afresh.daemon.api.view import View

_VERSION = (
    "asset, partition, version, fingerprint, rows, bytes, created_at, run, code_version, uri, state"
)
_RUN = (
    "run, asset, partition, epoch, attempt, state, cause_kind, cause_event, events, started_at,"
    " ended_at, error, staging"
)
_EVENT = "seq, epoch, sensor, source, partition, kind, uri, observed_at, state"


async def versions(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List an asset's or a unit's versions, newest first; the cursor is a ref."""
    ref = parse_known(view, params["asset"])
    where, values = ["asset = :asset"], {"asset": ref.asset}
    if ref.partition is not None:
        where.append("partition = :partition")
        values["partition"] = ref.partition
    if ref.version is not None:
        where.append("version = :version")
        values["version"] = one_version(view, ref).version
    if after := params.get("after"):
        where.append(_older_version(view, after, values))
    rows = view.reader.rows(
        f"SELECT {_VERSION} FROM version WHERE {' AND '.join(where)}"  # noqa: S608 - no values
        f" ORDER BY epoch DESC, partition, version DESC{_limit(params)}",
        values,
    )
    return [version_row(row) for row in rows]


def _older_version(view: View, after: str, values: dict[str, Any]) -> str:
    cursor = parse_ref(after)
    key = {"asset": cursor.asset, "partition": cursor.partition or "", "version": cursor.version}
    found = view.reader.rows(
        "SELECT epoch FROM version WHERE asset = :asset AND partition = :partition"
        " AND version = :version",
        key,
    )
    if not found:
        raise UsageError(
            f"Expected the ref of a version after --after, found {after!r}",
            hint="give the last ref of the page before",
        )
    values.update(c_epoch=found[0][0], c_partition=key["partition"], c_version=key["version"])
    return (
        "(epoch < :c_epoch OR (epoch = :c_epoch AND (partition > :c_partition"
        " OR (partition = :c_partition AND version < :c_version))))"
    )


def version_row(row: Sequence[Any]) -> dict[str, Any]:
    """Make a row of `versions` from the columns that are read for it."""
    asset, partition, version, fingerprint, rows, size, created_at, run, code, uri, state = row
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
        "state": state,
    }


async def version(view: View, params: Mapping[str, Any]) -> dict[str, Any]:
    """Give one version: a row of `versions`, with the hash of its stored bytes."""
    unique = one_version(view, parse_known(view, params["ref"]))
    (row,) = view.reader.rows(
        f"SELECT {_VERSION}, hash FROM version WHERE asset = :asset"  # noqa: S608 - no values
        " AND partition = :partition AND version = :version",
        unique._asdict(),
    )
    return {**version_row(row[:-1]), "hash": row[-1]}


async def runs(view: View, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List runs in the order in which they were dispatched; the cursor is a run."""
    where, values = ["1 = 1"], dict[str, Any]()
    if after := params.get("after"):
        where.append("run > :after")
        values["after"] = after
    if run := params.get("run"):
        where.append("run = :run")
        values["run"] = run
    if not (text := params.get("selection")):
        return [run_row(row) for row in _run_page(view, where, values, _limit(params))]
    wanted = await chosen(view, text, history=True)
    names = sorted({asset for asset, _ in wanted})
    marks = ", ".join(f":n{i}" for i in range(len(names))) or "NULL"
    where.append(f"asset IN ({marks})")
    values.update((f"n{i}", name) for i, name in enumerate(names))
    rows = [row for row in _run_page(view, where, values, "") if (row[1], row[2]) in wanted]
    return [run_row(row) for row in rows[: params.get("limit")]]


def _run_page(
    view: View, where: list[str], values: dict[str, Any], limit: str
) -> list[tuple[Any, ...]]:
    return view.reader.rows(
        f"SELECT {_RUN} FROM run WHERE {' AND '.join(where)}"  # noqa: S608 - no values
        f" ORDER BY run, asset{limit}",
        values,
    )


def run_row(row: Sequence[Any]) -> dict[str, Any]:
    """Make a row of `runs` from the columns that are read for it."""
    run, asset, partition, epoch, attempt, state, kind, event, events, started, ended, error, _ = (
        row
    )
    return {
        "run": run,
        "asset": asset,
        "partition": partition,
        "epoch": epoch,
        "attempt": attempt,
        "state": state,
        "cause": {"kind": kind, "event": event},
        "events": len(json.loads(events)) if events else 0,
        "started_at": iso(started),
        "seconds": None if ended is None else round(max(0.0, ended - started), 6),
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
    where, values = ["seq > :after"], {"after": _seq(params.get("after"))}
    if params.get("unmatched"):
        where.append("state = 'unmatched'")
    rows = view.reader.rows(
        f"SELECT {_EVENT} FROM event WHERE {' AND '.join(where)}"  # noqa: S608 - no values
        f" ORDER BY seq{_limit(params)}",
        values,
    )
    return [event_row(row) for row in rows]


def event_row(row: Sequence[Any]) -> dict[str, Any]:
    """Make a row of `events` from the columns that are read for it."""
    names = _EVENT.split(", ")
    return {**dict(zip(names, row, strict=True)), "observed_at": iso(row[7])}


async def log(view: View, params: Mapping[str, Any]) -> dict[str, Any]:
    """Say what is known of one run, for `afresh logs`: its rows and its failure cases."""
    run = params["run"]
    rows = await runs(view, {"run": run})
    if not rows:
        raise UsageError(f"Expected a run, found {run!r}", hint="afresh runs lists them")
    cases = view.reader.rows(
        "SELECT asset, partition, error, cases, total, uri FROM rejection WHERE run = :run",
        {"run": run},
    )
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


def _limit(params: Mapping[str, Any]) -> str:
    limit = params.get("limit")
    return "" if limit is None else f" LIMIT {int(limit)}"


def _seq(text: Any) -> int:
    if text in (None, ""):
        return 0
    if not str(text).isdecimal():
        raise UsageError(
            f"Expected the seq of an event after --after, found {text!r}",
            hint="give the last seq of the page before",
        )
    return int(text)
