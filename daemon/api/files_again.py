"""What `materialize --force` does to sources: their files are read again, changed or not."""

from collections.abc import Mapping, Sequence
from typing import Any

from afresh.assets.errors import UsageError
from afresh.assets.manifest import Source
from afresh.assets.partition import format_ref
from afresh.daemon.api.by_hand import arrival_of, last_uri
from afresh.daemon.api.view import Controls, Key, View
from afresh.sensors.base import Batch

_KNOWN = "SELECT 1 FROM path WHERE sensor = :sensor AND uri = :uri"
_STATE = "SELECT state FROM event WHERE seq = :seq"


async def read_again(
    view: View, controls: Controls, params: Mapping[str, Any], units: Sequence[Key]
) -> None:
    """Bring the files of source units once more, and wait for them.

    Raises UsageError where a file is gone and nothing but sources was asked for.
    """
    sources = {source.name: source for source in view.manifest.sources}
    gone: dict[Key, str] = {}
    again: dict[Key, str] = {}
    for unit in units:
        source = sources.get(unit[0])
        uri = last_uri(view, *unit) if source is not None and not source.stream else None
        if uri is not None:
            known = view.reader.rows(_KNOWN, {"sensor": unit[0], "uri": uri})
            (again if known else gone)[unit] = uri
    if again:
        seqs = await controls.record(
            f"{params['request']}/files", "read", _batches(view, sources, again)
        )
        await controls.wait(list(again), params.get("timeout"))
        for (unit, uri), seq in zip(again.items(), seqs, strict=True):
            if view.reader.rows(_STATE, {"seq": seq}) == [("vanished",)]:
                gone[unit] = uri
    if gone and all(asset in sources for asset, _ in units):
        raise _are_gone(gone)


def _batches(view: View, sources: Mapping[str, Source], again: Mapping[Key, str]) -> list[Batch]:
    """One for each unit: their events are numbered in this order."""
    return [
        Batch(asset, (arrival_of(view, sources[asset], uri, key),))
        for (asset, key), uri in again.items()
    ]


def _are_gone(gone: Mapping[Key, str]) -> UsageError:
    unit, uri = next(iter(gone.items()))
    ref, more = format_ref(*unit), f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    return UsageError(
        f"Expected the file of {ref} to read it again, found that {uri} is gone{more}",
        hint="put it back; without it a damaged artifact can come from a backup alone",
    )
