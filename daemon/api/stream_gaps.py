"""What is missing from a stream for good, for `why`: the gaps that its sensor recorded."""

from typing import Any

from afresh.daemon.api.times import iso
from afresh.daemon.api.view import View

_MOST_TOLD = 5


def gaps(view: View, asset: str) -> list[dict[str, Any]]:
    """Give an entry a gap, the newest first; none for what is no stream."""
    if not any(source.name == asset and source.stream for source in view.manifest.sources):
        return []
    found = view.reader.rows(
        "SELECT seq, detail, observed_at FROM event WHERE source = :source AND kind = 'gap'"
        " ORDER BY seq DESC",
        {"source": asset},
    )
    entries = [
        {"kind": "gap", "ref": asset, "event": seq, "detail": detail, "at": iso(at)}
        for seq, detail, at in found[:_MOST_TOLD]
    ]
    if len(found) > _MOST_TOLD:
        detail = f"{len(found)} gaps in all: afresh events --source {asset} --kind gap"
        entries.append({"kind": "gap", "ref": asset, "event": None, "detail": detail, "at": None})
    return entries
