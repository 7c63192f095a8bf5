"""The data that a source's files and objects hold: one whole state of one, decoded by the source.

Read for an ingest, and again for readers of versions that are kept as references.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from blake3 import blake3

from afresh.assets.errors import AfreshError, ChangedData, UnreadableData
from afresh.assets.manifest import Schema, Source
from afresh.assets.partition import Pattern, decode_key
from afresh.assets.schema import read_types, validate
from afresh.daemon.reference_bytes import read_original_object, reference_bytes
from afresh.daemon.workers.versions import read_version
from afresh.sensors.base import Identity, ObjectIdentity
from afresh.sensors.buckets.store import identity_of
from afresh.sensors.buckets.url import object_path, object_uri
from afresh.storage.formats.base import shown
from afresh.storage.formats.source_file import decode_source, lines_of, read_source
from afresh.storage.references import Reference

_ATTEMPTS = 3


class Original(NamedTuple):
    """What was read. `url` is its own, `version` the store's of it or ""; `hash` is its bytes'."""

    table: pa.Table
    hash: str
    bytes: int
    identity: Identity | ObjectIdentity
    url: str
    version: str


def read_original(path: str, source: Source, schema: Schema | None, project: str) -> Original:
    """Read one whole state, again while it is being replaced.

    `path` is a file's absolute path, or an object's URL as in the journal. Raises VanishedData,
    UnreadableData, UsageError where the declaration does not fit the format, StorageUnavailable.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            if source.sensor.kind == "upstream":
                return Original(*read_version(path))
            if "://" in path:
                return _read_object(path, source, schema)
            return _read_file(path, source, schema, project)
        except ChangedData:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError


def lines_of_rows(
    path: str, source: Source, read: Original, rows: Collection[int]
) -> dict[int, int]:
    """Find the lines of a text that rows of what was read begin in, both from 1.

    It is read again for that: only where something is wrong. Empty if it has changed since.
    """
    name = path.rpartition("/")[2]
    if source.sensor.kind == "upstream" or not rows:
        return {}
    try:
        if "://" in path:
            data = read_original_object(source, path, read.version).data
            name = object_path(path).rpartition("/")[2]
        else:
            data = Path(path).read_bytes()
    except (OSError, AfreshError):
        return {}
    if blake3(data).hexdigest() != read.hash:
        return {}
    return lines_of(data, name, source.format, rows, source.options)


def read_reference(
    reference: Reference,
    expected: str,
    source: Source,
    schema: Schema | None,
    live: object | None,
    *,
    partition: str,
) -> pa.Table:
    """Read an original again, as it was when its version was made, by what the source says now.

    `expected` is the hash of its bytes then, `live` the schema object. Raises ArtifactError when it
    is gone or other bytes are there.
    """
    data = reference_bytes(reference, expected, source)
    table = with_keys(_decoded(data, reference.url, source, schema), source, partition)
    return validate(table, live, "pyarrow") if live is not None else table


def with_keys(table: pa.Table, source: Source, partition: str) -> pa.Table:
    """Add what the path captures as columns of strings, if the source says so.

    They replace columns of the same name. Raises UnreadableData for a name that is no text.
    """
    if not source.key_columns:
        return table
    for name, value in zip(source.captures, decode_key(partition), strict=True):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise UnreadableData(
                f"Expected a name that is text for column {name!r}, "
                f"found {shown(os.fsencode(value))}",
                hint="rename the file, or leave key_columns out",
            )
        column = pa.repeat(pa.scalar(value, pa.string()), table.num_rows)
        place = table.schema.get_field_index(name)
        if place < 0:
            table = table.append_column(name, column)
        else:
            table = table.set_column(place, name, column)
    return table


def _read_file(path: str, source: Source, schema: Schema | None, project: str) -> Original:
    inside = _inside(source, project)
    types = read_types(schema) if schema is not None else {}
    read = read_source(path, source.format, types, source.options, inside=inside)
    if schema is not None and _by_pattern(schema):
        # Which columns a pattern types is known by their names only.
        types = read_types(schema, read.table.column_names)
        read = read_source(path, source.format, types, source.options, inside=inside)
    identity = Identity(*read.identity)
    url = object_uri("file", path.removeprefix("/"))
    return Original(read.table, read.hash, identity.size, identity, url, "")


def _read_object(url: str, source: Source, schema: Schema | None) -> Original:
    found = read_original_object(source, url)
    identity = identity_of({**found.info, "VersionId": found.version})
    table = _decoded(found.data, url, source, schema)
    return Original(table, found.hash, len(found.data), identity, url, found.version)


def _decoded(data: bytes, url: str, source: Source, schema: Schema | None) -> pa.Table:
    name = object_path(url).rpartition("/")[2]
    types = read_types(schema) if schema is not None else {}
    table = decode_source(data, name, source.format, types, source.options, where=url)
    if schema is not None and _by_pattern(schema):
        types = read_types(schema, table.column_names)
        table = decode_source(data, name, source.format, types, source.options, where=url)
    return table


def _by_pattern(schema: Schema) -> bool:
    return any(column.regex for column in schema.columns)


def _inside(source: Source, project: str) -> tuple[str, ...]:
    """The folders that a link may lead into: those that the sensor follows it to."""
    pattern = source.sensor.options.get("pattern")
    root = Pattern.parse(pattern).root if isinstance(pattern, str) else ""
    return project, os.path.join(project, root)  # noqa: PTH118
