"""JSON with a registry: a zero, the schema's id, and an object that keeps that JSON Schema."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from afresh.assets.manifest import Column
from afresh.storage.formats.base import Options
from afresh.storage.formats.messages.base import Decoded, Wanted
from afresh.storage.formats.messages.json import Json
from afresh.storage.formats.messages.promised import check_promise
from afresh.storage.formats.messages.registered import open_messages, require
from afresh.storage.formats.messages.schema_registry import (
    OPTIONS,
    RegisteredSchema,
    SchemaRegistry,
    check_registry,
)

_TYPES = {"integer": "int64", "number": "float64", "string": "string", "boolean": "bool"}


class JsonSchema:
    """One JSON object a message, with its schema's id; it is checked against the schema."""

    name = "json_schema"
    options = OPTIONS

    def check(self, options: Options) -> None:
        """Check the registry's options, and that what checks JSON is there."""
        check_registry(options)
        _jsonschema()

    def decode(self, values: Sequence[bytes], wanted: Wanted, options: Options) -> Decoded:
        """Decode all values (see `MessageFormat`)."""
        messages = open_messages(values, options, "JSON", _parse)
        bodies, bad = messages.bodies, messages.bad
        for schema, (declared, validator), indexes in messages.schemas:
            name = f"{schema} of the registry"
            check_promise(list(_columns(declared)), wanted.schema, options, name=name, text=True)
            for index in indexes:
                reason = _wrong(bodies[index], validator)
                if reason:
                    bad[index] = reason
        places = [index for index in sorted(bodies) if index not in bad]
        found = Json().decode([bodies[index] for index in places], wanted, options)
        bad |= {places[index]: reason for index, reason in found.bad.items()}
        sources = found.sources
        if sources is None:
            sources = [index for index in range(len(places)) if index not in found.bad]
        return Decoded(found.table, [places[index] for index in sources], bad)


def _jsonschema() -> Any:
    return require("jsonschema", "json-schema")


def _parse(registered: RegisteredSchema, source: SchemaRegistry) -> tuple[Any, Any]:
    library = _jsonschema()
    # Lazy: it comes with jsonschema.
    from referencing import Registry  # noqa: PLC0415
    from referencing.jsonschema import DRAFT7  # noqa: PLC0415

    resources = Registry().with_resources(
        (name, DRAFT7.create_resource(json.loads(text)))
        for name, text in _references(registered, source)
    )
    declared = json.loads(registered.text)
    kind = library.validators.validator_for(declared, default=library.Draft7Validator)
    return declared, kind(declared, registry=resources)


def _references(registered: RegisteredSchema, source: SchemaRegistry) -> Iterator[tuple[str, str]]:
    for name, subject, version in registered.references:
        other = source.referenced(subject, version)
        yield name, other.text
        yield from _references(other, source)


def _columns(declared: Any) -> Iterator[Column]:
    if not isinstance(declared, dict):
        return
    required = declared.get("required") or ()
    for name, kind in (declared.get("properties") or {}).items():
        given = kind.get("type") if isinstance(kind, dict) else None
        kinds = given if isinstance(given, list) else [given]
        others = [each for each in kinds if each != "null"]
        dtype = _TYPES.get(str(others[0]), "") if len(others) == 1 else ""
        # A field that may be left out is null where it is: the table has a row for each message.
        nullable = len(others) < len(kinds) or name not in required
        yield Column(name, dtype, nullable=nullable)


def _wrong(body: bytes, validator: Any) -> str:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        return f"Expected a JSON object, found: {error}"
    broken = next(validator.iter_errors(value), None)
    if broken is None:
        return ""
    place = "".join(f"[{part!r}]" for part in broken.absolute_path)
    where = f" at {place}" if place else ""
    return f"Expected what its schema says{where}, found: {broken.message[:200]}"
