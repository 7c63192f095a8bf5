"""Avro with a registry: a zero, the schema's id, and the record as that schema says."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from afresh.assets.errors import UnreadableData
from afresh.assets.manifest import Column
from afresh.storage.formats.base import Options
from afresh.storage.formats.messages.base import Decoded, Wanted
from afresh.storage.formats.messages.promised import check_promise
from afresh.storage.formats.messages.registered import open_messages, require
from afresh.storage.formats.messages.schema_registry import (
    OPTIONS,
    RegisteredSchema,
    SchemaRegistry,
    check_registry,
)
from afresh.storage.formats.messages.table import make_table

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
        messages = open_messages(values, options, "AVRO", _parse)
        bodies, bad = messages.bodies, messages.bad
        rows: dict[int, Mapping[str, Any]] = {}
        types: dict[str, str] = {}
        for name, parsed, indexes in messages.schemas:
            promised = list(_columns(parsed))
            check_promise(promised, wanted.schema, options, name=f"{name} of the registry")
            types = {column.name: column.dtype for column in promised} | types
            for index in indexes:
                body = io.BytesIO(bodies[index])
                try:
                    rows[index] = read(body, parsed)
                except Exception as error:  # noqa: BLE001 - whatever bytes make it raise
                    bad[index] = f"Expected a record of {name}, found {_line(error)}"
                    continue
                if body.tell() != len(bodies[index]):
                    del rows[index]
                    bad[index] = f"Expected a record of {name}, found more after it"
        order = sorted(rows)
        return make_table([_plain(rows[index]) for index in order], order, bad, wanted, types)


def _fastavro() -> Any:
    return require("fastavro", "avro")


def _parse(registered: RegisteredSchema, source: SchemaRegistry) -> Any:
    named: dict[str, Any] = {}
    _refer(registered, source, named)
    schema = json.loads(registered.text)
    parsed = _fastavro().parse_schema(schema, named_schemas=named)
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise UnreadableData(
            f"Expected a record as schema {registered.id}, found {registered.text[:80]}"
        )
    return parsed


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
