"""What was declared before under the names that new definitions have.

A source that is taken out and declared again finds what the ledger kept of it.
"""

from typing import NamedTuple

import msgspec

from afresh.assets.manifest import Manifest, Source
from afresh.storage.ledger import queries, validations
from afresh.storage.ledger.check import Reads


class Former(NamedTuple):
    """A source as it was declared last, and the definitions that it was declared in."""

    source: Source
    manifest: Manifest


def former_sources(manifest: Manifest, old: Manifest, reader: Reads) -> dict[str, Former]:
    """Find how each source of `manifest` was declared before; `old` was in force until now.

    Of sources that the ledger knows and `old` does not have, older definitions are read.
    """
    found = {source.name: Former(source, old) for source in old.sources}
    missing = {
        source.name
        for source in manifest.sources
        if source.name not in found and _is_known(reader, source.name)
    }
    last = reader.rows(queries.LAST_DEFINITIONS, {}) if missing else []
    epoch = last[0][0] if last else 0
    while missing and (rows := reader.rows(queries.DEFINITIONS_BEFORE, {"epoch": epoch})):
        epoch, packed = rows[0]
        older = msgspec.msgpack.decode(packed, type=Manifest)
        found |= {s.name: Former(s, older) for s in older.sources if s.name in missing}
        missing -= found.keys()
    return found


def _is_known(reader: Reads, source: str) -> bool:
    return bool(
        reader.rows(validations.HAS_UNITS, {"asset": source})
        or reader.rows(queries.CURSOR, {"sensor": source})
        or reader.rows(queries.HAS_PATHS, {"sensor": source})
    )
