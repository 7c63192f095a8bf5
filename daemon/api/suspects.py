"""Which stored versions fail a schema that was changed since: they stay readable, and are named."""

import json
from typing import Any, NamedTuple

import msgspec

from afresh.assets.manifest import Manifest
from afresh.assets.partition import format_ref
from afresh.assets.planner.view import Reason, UnitView
from afresh.daemon.api.names import Unique, declarations
from afresh.daemon.api.view import Key, View
from afresh.storage.ledger import validations


class Finding(NamedTuple):
    """What is known against a version, and since which event of new definitions."""

    version: int
    detail: str
    event: int | None
    at: float
    cases: tuple[dict[str, str], ...] = ()
    total: int = 0


def suspect_heads(view: View) -> dict[Key, Finding]:
    """List the units whose head is suspect, each with the first of what failed."""
    found: dict[Key, Finding] = {}
    rows = view.reader.rows(validations.SUSPECT_HEADS, {})
    named = _schema_names(view.manifest) if rows else {}
    for asset, partition, version, schema, event, error, at in rows:
        detail = _detail(named.get((asset, schema), ""), event, error)
        found.setdefault((asset, partition), Finding(version, detail, event, at))
    return found


def findings(view: View, at: Unique) -> list[Finding]:
    """Give all that is known against one version; nothing against most."""
    rows = view.reader.rows(validations.OF_VERSION, at._asdict())
    named = _schema_names(view.manifest) if rows else {}
    return [
        Finding(
            at.version,
            _detail(named.get((at.asset, schema), ""), event, error),
            event,
            when,
            tuple(json.loads(cases)),
            total,
        )
        for schema, event, error, cases, total, when in rows
    ]


def marked(unit: UnitView, found: dict[Key, Finding]) -> UnitView:
    """Give a unit with the reason that its head is suspect, if it is."""
    finding = found.get((unit.asset, unit.partition))
    if finding is None or finding.version != unit.version:
        return unit
    ref = format_ref(unit.asset, unit.partition, unit.version)
    reason = Reason("suspect", finding.detail, ref=ref, event=finding.event)
    return msgspec.structs.replace(unit, reasons=(*unit.reasons, reason))


def _detail(schema: str, event: int | None, error: str) -> str:
    since = f" since the definitions of event {event}" if event is not None else ""
    return f"it fails {schema or 'a schema that was changed'}{since}: {error}"


def _schema_names(manifest: Manifest) -> dict[tuple[str, str], str]:
    """Name the schema that each asset has now, by the asset and the schema's version."""
    names: dict[tuple[str, str], str] = {}
    for asset, declared in declarations(manifest).items():
        outputs: Any = getattr(declared, "outputs", (declared,))
        for one in outputs:
            if getattr(one, "asset", asset) != asset:
                continue
            schema = manifest.schemas.get(one.schema)
            if schema is not None:
                names[asset, schema.version] = schema.name
    return names
