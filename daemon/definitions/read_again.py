"""New definitions compared with those before: which files a source has to read again, and why.

Only reading shows what follows from another format, other options or types. Checks alone need no
file: what is stored is held against them, and what was rejected is tried again.
"""

from collections.abc import Mapping
from typing import Any

from afresh.assets.manifest import Manifest, Source
from afresh.assets.partition import Pattern
from afresh.daemon.reactor import Reactor
from afresh.sensors.key_paths import refusal
from afresh.storage.ledger import queries
from afresh.storage.ledger import state as saved
from afresh.storage.ledger.check import Reads
from afresh.storage.ledger.commit import Update


def read_again(
    reactor: Reactor, manifest: Manifest, old: Manifest | None, reader: Reads, now: float
) -> list[dict[str, Any]]:
    """Give an event for each file that is to be read again."""
    before = {source.name: source for source in old.sources} if old is not None else {}
    events = []
    for source in manifest.sources:
        past = before.get(source.name)
        # What a stream brought stays as it was read; its dead letters can be replayed.
        if past is None or source.stream or old is None or _is_other_kind(past, source):
            continue
        if past.code_key != source.code_key:
            events += _events(reactor, source, reader, now, None)
        elif _version(past, old) != _version(source, manifest):
            rows = reader.rows(queries.FAILED_KEYS, {"asset": source.name})
            rejected = {key for (key,) in rows}
            if rejected:
                events += _events(reactor, source, reader, now, rejected)
    return events


def forgotten_rows(manifest: Manifest, old: Manifest | None, reader: Reads) -> list[Update]:
    """Drop what sensors recorded of sources that have another kind of sensor now.

    It would make nothing of that: it begins anew.
    """
    before = {source.name: source for source in old.sources} if old is not None else {}
    updates = []
    for source in manifest.sources:
        past = before.get(source.name)
        if past is not None and _is_other_kind(past, source):
            updates.append(Update("delete", "cursor", [{"sensor": source.name}]))
            if paths := saved.load_paths(reader.rows, source.name):
                keys = [{"sensor": source.name, "uri": uri} for uri in paths]
                updates.append(Update("delete", "path", keys))
    return updates


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
