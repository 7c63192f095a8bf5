"""Messages that begin with the id of their schema, which a registry has."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from afresh.assets.errors import UnreadableData
from afresh.storage.formats.base import Options
from afresh.storage.formats.messages.schema_registry import (
    NoSchema,
    RegisteredSchema,
    SchemaRegistry,
    registry,
)

HEADER_BYTES = 5
"""A zero, and the schema's id in four bytes."""
_NO_HEADER = "Expected a zero and a schema's id before the message, found something else"

Parse = Callable[[RegisteredSchema, SchemaRegistry], Any]
"""Makes of a schema what decodes its messages; it may ask for what the schema refers to."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages without their headers, by index; `bad` says why some cannot be decoded."""

    bodies: dict[int, bytes] = field(default_factory=dict)
    schemas: list[tuple[str, Any, list[int]]] = field(default_factory=list)
    """Each schema that is named: what to call it, what was parsed, its messages' indexes."""
    bad: dict[int, str] = field(default_factory=dict)


def open_messages(
    values: Sequence[bytes], options: Options, kind: str, parse: Parse, form: str = ""
) -> Messages:
    """Split messages from their headers and get their schemas, which are to be of one kind.

    Each schema is parsed once a process. Raises UnreadableData for a schema of another kind, and
    StorageUnavailable where the registry does not answer.
    """
    source = registry(options)
    messages = Messages()
    by_id: dict[int, list[int]] = defaultdict(list)
    for index, value in enumerate(values):
        if len(value) < HEADER_BYTES or value[:1] != b"\0":
            messages.bad[index] = _NO_HEADER
            continue
        by_id[int.from_bytes(value[1:HEADER_BYTES], "big")].append(index)
        messages.bodies[index] = value[HEADER_BYTES:]
    for schema_id, indexes in by_id.items():
        try:
            parsed = _parsed(source, schema_id, kind, parse, form)
        except NoSchema as error:
            reason = f"Expected a schema, found: {error}"
            for index in indexes:
                messages.bad[index] = reason
                del messages.bodies[index]
        else:
            messages.schemas.append((f"schema {schema_id}", parsed, indexes))
    return messages


def require(module: str, extra: str) -> Any:
    """Import what not everybody has installed. Raises UnreadableData with the way to get it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise UnreadableData(
            f"Expected {module} to be installed, found no such distribution",
            hint=f"pip install 'afresh[{extra}]'",
        ) from error


def _parsed(source: SchemaRegistry, schema_id: int, kind: str, parse: Parse, form: str) -> Any:
    key = (schema_id, kind)
    if key not in source.parsed:
        registered = source.schema(schema_id, form)
        if registered.kind != kind:
            raise UnreadableData(
                f"Expected a schema {schema_id} of {kind}, found one of {registered.kind}",
                hint="give the source the format of its messages",
            )
        source.parsed[key] = parse(registered, source)
    return source.parsed[key]
