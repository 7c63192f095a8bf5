"""New definitions compared with those before: which files a source has to read again, and why.

Only reading shows what follows from another format, other options or types. Checks alone need no
file: what is stored is held against them, and what was rejected is tried again.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from afresh.assets.manifest import Manifest, Source
from afresh.assets.partition import Pattern
from afresh.daemon.definitions.former import Former
from afresh.daemon.reactor import Reactor
from afresh.sensors.key_paths import refusal
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.check import Reads
from afresh.storage.ledger.commit import Update

_ASIDE = "aside:"
"""In the table of cursors: where a stream of this name and kind was, while it is of another."""


def read_again(
    reactor: Reactor, manifest: Manifest, former: Mapping[str, Former], reader: Reads, now: float
) -> list[dict[str, Any]]:
    """Give an event for each file that is to be read again."""
    events = []
    for source in manifest.sources:
        past = former.get(source.name)
        # What a stream brought stays as it was read; its dead letters can be replayed.
        if past is None or source.stream or _is_other_kind(past.source, source):
            continue
        if past.source.code_key != source.code_key:
            events += _events(reactor, source, reader, now, None)
        elif _version(past.source, past.manifest) != _version(source, manifest):
            rows = reader.rows(queries.FAILED_KEYS, {"asset": source.name})
            rejected = {key for (key,) in rows}
            if rejected:
                events += _events(reactor, source, reader, now, rejected)
    return events


def forgotten_rows(
    manifest: Manifest, former: Mapping[str, Former], reader: Reads, now: float
) -> list[Update]:
    """Drop what sensors recorded of sources that have another kind of sensor now.

    It would make nothing of that: it begins anew. Where a stream was is kept for as long as its
    rows are: with the kind it had it goes on there, and appends nothing twice.
    """
    updates = []
    for source in manifest.sources:
        past = former.get(source.name)
        if past is None:
            continue
        if _is_other_kind(past.source, source):
            updates += _other_cursor(past.source, source, reader, now)
            if paths := saved.load_paths(reader.rows, source.name):
                keys = [{"sensor": source.name, "uri": uri} for uri in paths]
                updates.append(Update("delete", "path", keys))
        elif past.source.captures and _takes_the_place(source):
            updates += _deleted(_aside(source.name, reader))
    return updates


def _other_cursor(past: Source, source: Source, reader: Reads, now: float) -> list[Update]:
    """Put a sensor's cursor aside, and take up what its kind left when it last had the name."""
    aside, own = _aside(source.name, reader), source.name
    if _takes_the_place(source):
        return _deleted([own, *aside])
    moved = {}
    if past.stream:
        cursor = reader.rows(queries.CURSOR, {"sensor": own})
        moved = {f"{_ASIDE}{own}:{past.sensor.kind}": str(value) for (value,) in cursor}
    mine = f"{_ASIDE}{own}:{source.sensor.kind}"
    taken = aside.get(mine) if source.stream else None
    if taken is None:
        gone = [own]
    else:
        gone, moved[own] = [mine], taken
    rows = [{"sensor": name, "value": value, "updated_at": now} for name, value in moved.items()]
    return _deleted(gone) + ([Update("upsert", "cursor", rows)] if rows else [])


def _takes_the_place(source: Source) -> bool:
    """Whether a source's one unit is replaced by what comes: rows of a stream are gone then."""
    return not source.stream and not source.captures


def _aside(source: str, reader: Reads) -> dict[str, str]:
    prefix = f"{_ASIDE}{source}:"
    among = {"first": prefix, "last": f"{prefix}\U0010ffff"}
    return dict(reader.rows(queries.CURSORS_AMONG, among))


def _deleted(cursors: Iterable[str]) -> list[Update]:
    rows = [{"sensor": name} for name in cursors]
    return [Update("delete", "cursor", rows)] if rows else []


def _is_other_kind(past: Source, source: Source) -> bool:
    return past.sensor.kind != source.sensor.kind


def _version(source: Source, manifest: Manifest) -> str:
    schema = manifest.schemas.get(source.schema)
    return schema.version if schema is not None else ""


def _events(
    reactor: Reactor, source: Source, reader: Reads, now: float, only: set[str] | None
) -> list[dict[str, Any]]:
    """Of all files of a source, or `only` of these keys; several of one key stay refused."""
    events = []
    pattern = source.sensor.options.get("pattern")
    names = Pattern.parse(pattern) if isinstance(pattern, str) else None
    paths = saved.load_paths(reader.rows, source.name)
    keys: dict[str, str | None] = {}
    if names is not None:
        keys = {uri: names.match(reactor.ports.relative_of(uri)) for uri in paths}
    refused = _refused(source, keys)
    for uri, path in paths.items():
        key, position = keys.get(uri), ""
        if names is None:
            key, position = _place_of(reader, path.seq)
        if key is None or (only is not None and key not in only):
            continue
        event = reactor.journal.again(source.name, key, uri, now)
        event |= {
            "identity": path.identity,
            "position": position,
            "detail": refused.get(key, ""),
        }
        reactor.journal.keep(event)
        events.append(event)
    return events


def _refused(source: Source, keys: Mapping[str, str | None]) -> dict[str, str]:
    """Say of each key that several files have why none of them is read."""
    uris: dict[str, list[str]] = {}
    for uri, key in sorted(keys.items()):
        if key is not None:
            uris.setdefault(key, []).append(uri)
    thing = "file" if source.sensor.kind == "file" else "object"
    return {
        key: refusal(thing, source.name, key, names)
        for key, names in uris.items()
        if len(names) > 1
    }


def _place_of(reader: Reads, seq: int) -> tuple[str | None, str]:
    """The key of what an event brought, and where it is: its uri does not say."""
    rows = reader.rows("SELECT partition, position FROM event WHERE seq = :seq", {"seq": seq})
    return (str(rows[0][0]), str(rows[0][1])) if rows else (None, "")
