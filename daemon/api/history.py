"""The chain behind a state, from the ledger: which run made what, from what, by which event."""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from afresh.assets.graph import Graph
from afresh.assets.manifest import Function
from afresh.assets.partition import format_ref
from afresh.assets.planner.view import UnitView
from afresh.daemon.api.lineage import showing_run
from afresh.daemon.api.listings import error_line
from afresh.daemon.api.names import Unique, declarations
from afresh.daemon.api.times import iso
from afresh.daemon.api.view import View

_MOST_CHANGES = 20
"""Changed inputs that are named one by one."""

_MOST_RUNS = 200
_MOST_CASES = 5

_OWN = frozenset({"its code changed", "its parameters changed"})
"""Reasons of a run that no changed input shows."""

_BEHIND = frozenset({"policy", "deleted"})
"""Kinds of reasons of what may differ from what its inputs are by now, fresh as it is."""

_READ = "SELECT parameter, asset, reads, epoch, partition, version FROM lineage WHERE run = :run"
_LAST_DELETION = (
    "SELECT MAX(seq) FROM event WHERE source = :source AND partition = :partition"
    " AND kind = 'deleted' AND state = 'ingested'"
)


class History:
    """Gathers what `why` answers: entries from the unit downwards, the events behind them last."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._entries: list[dict[str, Any]] = []
        self._events: dict[int, dict[str, Any]] = {}
        self._told: set[str] = set()

    @cached_property
    def _graph(self) -> Graph:
        return Graph(self._view.manifest)

    def entries(self) -> list[dict[str, Any]]:
        """Give the answer: the first cause, the event with the lowest seq, is the last entry."""
        return self._entries + [self._events[seq] for seq in sorted(self._events, reverse=True)]

    def add(
        self, kind: str, ref: str, detail: str, *, event: int | None = None, at: float | None = None
    ) -> None:
        """Add an entry once, and the event that it names."""
        entry = {"kind": kind, "ref": ref, "event": event, "detail": detail, "at": iso(at)}
        if entry not in self._entries:
            self._entries.append(entry)
        self.event(event)

    def event(self, seq: int | None) -> None:
        """Add an event of the journal."""
        if seq is None or seq in self._events:
            return
        for kind, source, partition, uri, at, state, detail in self._view.reader.rows(
            "SELECT kind, source, partition, uri, observed_at, state, detail FROM event"
            " WHERE seq = :seq",
            {"seq": seq},
        ):
            subject = f" {uri}" if uri else ""
            why = f": {error_line(detail)}" if detail else ""
            self._events[seq] = {
                "kind": "event",
                "ref": format_ref(source, partition) if source else "",
                "event": seq,
                "detail": f"event {seq}: {kind}{subject} ({state}{why})",
                "at": iso(at),
            }

    def deletion(self, asset: str, partition: str) -> None:
        """Add the event of the file that is gone, of a source's unit or of what was made of it."""
        graph = self._graph
        above = graph.reach(asset, graph.up, None) if asset in graph else set[str]()
        found = [
            seq
            for source in above & graph.source_of.keys()
            for (seq,) in self._view.reader.rows(
                _LAST_DELETION, {"source": source, "partition": partition}
            )
            if seq is not None
        ]
        if found:
            self.event(max(found))

    def cases(self, run: str) -> None:
        """Add the first failure cases of a rejected run."""
        for asset, partition, error, text, total in self._view.reader.rows(
            "SELECT asset, partition, error, cases, total FROM rejection WHERE run = :run",
            {"run": run},
        ):
            ref = format_ref(asset, partition)
            self.add("rejected", ref, error_line(error))
            self.failing(ref, json.loads(text or "[]"), total, f": afresh logs {run}")

    def failing(self, ref: str, cases: Sequence[dict[str, Any]], total: int, more: str) -> None:
        """Add the first of some failure cases; `more` says where the others are."""
        for case in cases[:_MOST_CASES]:
            detail = ", ".join(f"{key} {value}" for key, value in case.items() if value != "")
            self.add("case", ref, detail)
        if total > _MOST_CASES:
            self.add("case", ref, f"{total} failure cases in all{more}")

    def fresh(self, unit: UnitView) -> None:
        """Say which run made what a fresh unit has, and why it did not run since."""
        if unit.version is None:
            return
        at = Unique(unit.asset, unit.partition, unit.version)
        run = showing_run(self._view, at, None)
        behind = any(reason.kind in _BEHIND for reason in unit.reasons)
        if run is not None and not behind:
            self._did_not_run(unit, run)
        self.version(at)

    def last_good(self, unit: UnitView) -> None:
        """Say where the version that readers still get comes from."""
        at = Unique(unit.asset, unit.partition, unit.version or 0)
        for run, created_at in self._view.reader.rows(
            "SELECT run, created_at FROM version WHERE asset = :asset AND partition = :partition"
            " AND version = :version",
            at._asdict(),
        ):
            self.add("last_good", at.ref, f"readers get {at.ref}, made by run {run}", at=created_at)

    def version(self, at: Unique) -> None:
        """Say which run made a version, what had changed, and so on down to the events."""
        waiting, count = [(at, showing_run(self._view, at, None))], 0
        while waiting and count < _MOST_RUNS:
            at, run = waiting.pop(0)
            if run is None or run in self._told:
                continue
            self._told.add(run)
            count += 1
            self._run(at, run)
            for source, epoch, detail in self._changed(at, run):
                self.add("input", source.ref, detail)
                waiting.append((source, showing_run(self._view, source, epoch)))

    def _run(self, at: Unique, run: str) -> None:
        for state, kind, event, events, reasons, ended_at in self._view.reader.rows(
            "SELECT state, COALESCE((SELECT kind FROM event WHERE seq = cause_event), cause_kind),"
            " cause_event, events, reasons, ended_at FROM run"
            " WHERE run = :run AND asset = :asset",
            {"run": run, "asset": at.asset},
        ):
            made = "found the content of" if state == "unchanged" else "made"
            cause = f", because of event {event} ({kind})" if event else f", because of: {kind}"
            count = len(json.loads(events)) if events else 0
            more = f" and {count - 1} more" if count > 1 else ""
            kept = _reasons(reasons)
            own = [reason["kind"] for reason in kept if reason.get("kind") in _OWN]
            detail = ": ".join([f"run {run} {made} {at.ref}{cause}{more}", *own])
            self.add("run", run, detail, event=event, at=ended_at)
            for reason in kept:
                if reason.get("kind") in ("code", "parameter", "request", "new"):
                    self.add(
                        reason["kind"],
                        reason.get("ref") or at.ref,
                        reason.get("detail", ""),
                        event=reason.get("event"),
                    )

    def _changed(self, at: Unique, run: str) -> list[tuple[Unique, int, str]]:
        """Compare what a run read with what the unit's run before it read."""
        before = self._view.reader.rows(
            "SELECT run FROM run WHERE asset = :asset AND partition = :partition AND run < :run"
            " AND version IS NOT NULL ORDER BY run DESC LIMIT 1",
            {"asset": at.asset, "partition": at.partition, "run": run},
        )
        old = self._read(before[0][0]) if before else {}
        found: list[tuple[Unique, int, str]] = []
        for parameter, (asset, _, epoch, partition, version) in self._read(run).items():
            was = old.get(parameter)
            if version is not None:
                if was is None or was[0] != asset or was[4] != version:
                    source = Unique(asset, partition, version)
                    found.append((source, epoch, _change(source, was[4] if was else None)))
            else:
                since = was[2] if was is not None and was[0] == asset else -1
                found.extend(self._changed_between(asset, since, epoch))
        if len(found) > _MOST_CHANGES:
            self.add("input", at.ref, f"{len(found)} inputs changed, the first of them:")
        return found[:_MOST_CHANGES]

    def _read(self, run: str) -> dict[str, tuple[Any, ...]]:
        return {row[0]: row[1:] for row in self._view.reader.rows(_READ, {"run": run})}

    def _changed_between(self, asset: str, since: int, to: int) -> list[tuple[Unique, int, str]]:
        """Give the units of an asset whose version differs between two epochs."""
        last: dict[str, int | None] = dict(
            self._view.reader.rows(
                "SELECT partition, version FROM validity WHERE asset = :asset"
                " AND epoch > :since AND epoch <= :to ORDER BY epoch",
                {"asset": asset, "since": since, "to": to},
            )
        )
        found = []
        for partition, version in last.items():
            was = self._version_at(asset, partition, since)
            if version is not None and version != was:
                source = Unique(asset, partition, version)
                found.append((source, to, _change(source, was)))
            elif version is None and was is not None:
                self.add("deleted", Unique(asset, partition, was).ref, "it is gone")
                self.deletion(asset, partition)
        return found

    def _version_at(self, asset: str, partition: str, epoch: int) -> int | None:
        rows = self._view.reader.rows(
            "SELECT version FROM validity WHERE asset = :asset AND partition = :partition"
            " AND epoch <= :epoch ORDER BY epoch DESC LIMIT 1",
            {"asset": asset, "partition": partition, "epoch": epoch},
        )
        return rows[0][0] if rows else None

    def _did_not_run(self, unit: UnitView, run: str) -> None:
        """Say what has changed since the run without making the unit stale, and why not (P4)."""
        made = declarations(self._view.manifest).get(unit.asset)
        if not isinstance(made, Function):
            return
        columns = {given.parameter: given.columns for given in made.inputs}
        changed = 0
        for parameter, (asset, _, epoch, partition, version) in self._read(run).items():
            for source, _, _ in self._changed_between(asset, epoch, unit.epoch):
                if version is not None and source.partition != partition:
                    continue
                changed += 1
                if changed <= _MOST_CHANGES:
                    self._not_read(source, epoch, columns.get(parameter, ()))
        if not changed:
            ref = format_ref(unit.asset, unit.partition, unit.version)
            self.add("unchanged", ref, f"nothing that it reads has changed since run {run}")

    def _not_read(self, source: Unique, epoch: int, columns: tuple[str, ...]) -> None:
        was = self._version_at(source.asset, source.partition, epoch)
        what = f"the columns that it reads ({', '.join(columns)})" if columns else "what it reads"
        rows = self._view.reader.rows(
            "SELECT run, created_at FROM version WHERE asset = :asset AND partition = :partition"
            " AND version = :version",
            source._asdict(),
        )
        detail = f"{source.ref} is new, but {what} have the content of @{was}: it did not run"
        self.add("unchanged", source.ref, detail, at=rows[0][1] if rows else None)
        if rows:
            for (event,) in self._view.reader.rows(
                "SELECT cause_event FROM run WHERE run = :run AND asset = :asset",
                {"run": rows[0][0], "asset": source.asset},
            ):
                self.event(event)


def _change(source: Unique, was: int | None) -> str:
    return f"{source.ref} is new to it" if was is None else f"{source.ref} took the place of @{was}"


def _reasons(text: str) -> list[dict[str, Any]]:
    """Read a run's reasons as they were kept: JSON, a list of objects or of words."""
    try:
        kept = json.loads(text or "[]")
    except ValueError:
        return []
    if not isinstance(kept, list):
        return []
    return [item if isinstance(item, dict) else {"kind": str(item)} for item in kept]
