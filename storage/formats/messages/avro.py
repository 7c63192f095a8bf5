"""Avro with a registry: a zero, the schema's id, and the record as that schema says."""

import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from afresh.assets.errors import UnreadableData
from afresh.assets.manifest import Column
from afresh.storage.formats.base import Options
from afresh.storage.formats.messages.base import Decoded, Wanted
from afresh.storage.formats.messages.promised import check_promise
from afresh.storage.formats.messages.schema_registry import (
    OPTIONS,
    NoSchema,
    RegisteredSchema,
    SchemaRegistry,
    check_registry,
    registry,
    split_header,
)
from afresh.storage.formats.messages.table import make_table

_NO_HEADER = "Expected a zero and a schema's id before the message, found something else"
_SIMPLE = {
    "boolean": "bool",
    "int": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "bytes": "binary",
    "fixed": "binary",
    "enum": "string",
}
_LOGICAL = {
    "date": "date",
    "time-millis": "time[ms]",
    "time-micros": "time[us]",
    "timestamp-millis": "timestamp[ms, UTC]",
    "timestamp-micros": "timestamp[us, UTC]",
    "local-timestamp-millis": "timestamp[ms]",
    "local-timestamp-micros": "timestamp[us]",
    "uuid": "string",
}


class Avro:
    """One Avro record a message, with its schema's id; the schema comes from the registry."""

    name = "avro"
    options = OPTIONS

    def check(self, options: Options) -> None:
        """Check the registry's options, and that what reads Avro is there."""
        check_registry(options)
        _fastavro()

    def decode(self, values: Sequence[bytes], wanted: Wanted, options: Options) -> Decoded:
        """Decode all values (see `MessageFormat`)."""
        read = _fastavro().schemaless_reader
        source = registry(options)
        bad: dict[int, str] = {}
        bodies, by_id = split(values, bad)
        rows: dict[int, Mapping[str, Any]] = {}
        types: dict[str, str] = {}
        for schema_id, indexes in by_id.items():
            try:
                registered = source.schema(schema_id)
                parsed = _parsed(registered, source)
            except NoSchema as error:
                bad |= dict.fromkeys(indexes, f"Expected a schema, found: {error}")
                continue
            promised = list(_columns(parsed))
            name = f"schema {schema_id} of the registry"
            check_promise(promised, wanted.schema, options, name=name)
            types = {column.name: column.dtype for column in promised} | types
            for index in indexes:
                body = io.BytesIO(bodies[index])
                try:
                    rows[index] = read(body, parsed)
                except Exception as error:  # noqa: BLE001 - whatever bytes make it raise
                    bad[index] = f"Expected a record of schema {schema_id}, found {_line(error)}"
                    continue
                if body.tell() != len(bodies[index]):
                    del rows[index]
                    bad[index] = f"Expected a record of schema {schema_id}, found more after it"
        order = sorted(rows)
        return make_table([_plain(rows[index]) for index in order], order, bad, wanted, types)


def split(
    values: Sequence[bytes], bad: dict[int, str]
) -> tuple[dict[int, bytes], dict[int, list[int]]]:
    """Split messages from their headers: the bodies by index, and the indexes by schema."""
    bodies: dict[int, bytes] = {}
    by_id: dict[int, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        parts = split_header(value)
        if parts is None:
            bad[index] = _NO_HEADER
            continue
        by_id[parts[0]].append(index)
        bodies[index] = parts[1]
    return bodies, by_id


def _fastavro() -> Any:
    try:
        # Lazy: an extra that not everybody has.
        import fastavro  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnreadableData(
            "Expected fastavro to be installed, found no such distribution",
            hint="pip install 'afresh[avro]'",
        ) from error
    return fastavro


_schemas: dict[tuple[int, str], Any] = {}


def _parsed(registered: RegisteredSchema, source: SchemaRegistry) -> Any:
    key = (registered.id, registered.text)
    if key not in _schemas:
        if registered.kind != "AVRO":
            raise UnreadableData(
                f"Expected an Avro schema {registered.id}, found one of {registered.kind}",
                hint="give the source the format of its messages",
            )
        named: dict[str, Any] = {}
        _refer(registered, source, named)
        schema = json.loads(registered.text)
        _schemas[key] = _fastavro().parse_schema(schema, named_schemas=named)
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise UnreadableData(
                f"Expected a record as schema {registered.id}, found {registered.text[:80]}"
            )
    return _schemas[key]


def _refer(registered: RegisteredSchema, source: SchemaRegistry, named: dict[str, Any]) -> None:
    for _, subject, version in registered.references:
        other = source.referenced(subject, version)
        _refer(other, source, named)
        _fastavro().parse_schema(json.loads(other.text), named_schemas=named)


def _columns(parsed: Any) -> Iterator[Column]:
    for field in parsed["fields"]:
        kind, nullable = _kind(field["type"])
        yield Column(field["name"], kind, nullable=nullable)


def _kind(declared: Any) -> tuple[str, bool]:
    """Name a field's type, "" if it is nested or one of several, and whether it may be null."""
    if isinstance(declared, list):
        others = [kind for kind in declared if kind != "null"]
        kind = _kind(others[0])[0] if len(others) == 1 else ""
        return kind, len(others) < len(declared)
    if isinstance(declared, str):
        return _SIMPLE.get(declared, ""), declared == "null"
    logical = declared.get("logicalType")
    if logical == "decimal":
        return f"decimal({declared['precision']}, {declared.get('scale', 0)})", False
    if logical in _LOGICAL:
        return _LOGICAL[logical], False
    return _kind(declared["type"]) if isinstance(declared["type"], str) else ("", False)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """UUIDs as text: Arrow has no type of theirs that readers know."""
    return {
        name: str(value) if type(value).__name__ == "UUID" else value for name, value in row.items()
    }


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
