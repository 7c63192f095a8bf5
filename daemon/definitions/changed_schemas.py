"""New definitions compared with those before: of which assets stored data is to be looked at again.

Rows of the same commit: a daemon that is killed goes on where it was.
"""

from typing import Any

from afresh.assets.loosening import is_looser
from afresh.assets.manifest import Manifest, Schema
from afresh.storage.ledger import validations
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.state import Read


def schema_names(manifest: Manifest) -> dict[str, str]:
    """Name the schema of each asset, "" where it has none."""
    names = {source.name: source.schema for source in manifest.sources}
    return names | {o.asset: o.schema for f in manifest.functions for o in f.outputs}


def revalidation_rows(
    old: Manifest | None, new: Manifest, read: Read, event: int | None
) -> list[Update]:
    """The work that follows from these definitions.

    A schema that is proven looser makes none, unless it may clear what is suspect.
    """
    if old is None:
        return []
    under_way = {asset: bool(only) for asset, _, only in read(validations.REVALIDATIONS, {})}
    before = schema_names(old)
    rows = []
    for asset, name in schema_names(new).items():
        schema = new.schemas.get(name)
        if asset in before:
            only_suspect = _only_suspect(old.schemas.get(before[asset]), schema)
        else:
            # It may have been archived, under another schema.
            only_suspect = False if read(validations.HAS_UNITS, {"asset": asset}) else None
        if only_suspect is None:
            continue
        if only_suspect and not read(validations.IS_SUSPECT, {"asset": asset}):
            continue
        rows.append(_row(asset, event, only_suspect=only_suspect and under_way.get(asset, True)))
    return [Update("upsert", "revalidation", rows)] if rows else []


def _row(asset: str, event: int | None, *, only_suspect: bool) -> dict[str, Any]:
    return {"asset": asset, "event": event, "only_suspect": only_suspect}


def _only_suspect(old: Schema | None, new: Schema | None) -> bool | None:
    """Whether only what is suspect may be otherwise now; None where nothing can be."""
    if (old.version if old is not None else "") == (new.version if new is not None else ""):
        return None
    return new is None or (old is not None and is_looser(old, new))
