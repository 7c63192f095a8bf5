"""Protobuf with a registry: a zero, the schema's id, which message it is, and the message.

The registry is asked for a descriptor (`format=serialized`, which Confluent's and Karapace give).
Where one answers with the text of the .proto file all the same, protoc compiles it, from
grpcio-tools: Google's own compiler in a wheel, where other parsers know a part of the language.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
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

_TYPES = {
    "TYPE_DOUBLE": "float64",
    "TYPE_FLOAT": "float32",
    "TYPE_INT64": "int64",
    "TYPE_SINT64": "int64",
    "TYPE_SFIXED64": "int64",
    "TYPE_UINT64": "uint64",
    "TYPE_FIXED64": "uint64",
    "TYPE_INT32": "int32",
    "TYPE_SINT32": "int32",
    "TYPE_SFIXED32": "int32",
    "TYPE_UINT32": "uint32",
    "TYPE_FIXED32": "uint32",
    "TYPE_BOOL": "bool",
    "TYPE_STRING": "string",
    "TYPE_BYTES": "binary",
    "TYPE_ENUM": "string",
}
_TIME = "google.protobuf.Timestamp"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Protobuf:
    """One Protobuf message a message, with its schema's id; enumerations are their names."""

    name = "protobuf"
    options = OPTIONS

    def check(self, options: Options) -> None:
        """Check the registry's options, and that what reads Protobuf is there."""
        check_registry(options)
        require("google.protobuf", "protobuf")

    def decode(self, values: Sequence[bytes], wanted: Wanted, options: Options) -> Decoded:
        """Decode all values (see `MessageFormat`)."""
        messages = open_messages(values, options, "PROTOBUF", _parse, "serialized")
        bodies, bad = messages.bodies, messages.bad
        rows: dict[int, Mapping[str, Any]] = {}
        types: dict[str, str] = {}
        for schema, file, indexes in messages.schemas:
            checked: set[str] = set()
            for index in indexes:
                try:
                    path, start = _path(bodies[index])
                    kind = _message(file, path)
                    row = _row(_class(kind).FromString(bodies[index][start:]))
                except Exception as error:  # noqa: BLE001 - whatever bytes make it raise
                    found = " ".join(str(error).split())[:200]
                    bad[index] = f"Expected a message of {schema}, found: {found}"
                    continue
                if kind.full_name not in checked:
                    checked.add(kind.full_name)
                    promised = list(_columns(kind))
                    name = f"{kind.full_name} in {schema} of the registry"
                    check_promise(promised, wanted.schema, options, name=name)
                    types = {column.name: column.dtype for column in promised} | types
                rows[index] = row
        order = sorted(rows)
        return make_table([rows[index] for index in order], order, bad, wanted, types)


def _parse(registered: RegisteredSchema, source: SchemaRegistry) -> Any:
    """Give the descriptor of a schema's file, in a pool of its own: names may differ by version."""
    pool = require("google.protobuf.descriptor_pool", "protobuf").DescriptorPool()
    parts = dict(_parts(f"schema_{registered.id}.proto", registered, source))
    if all(_descriptor(text) is not None for text in parts.values()):
        files = [(name, _descriptor(text)) for name, text in parts.items()]
        for name, file in files:
            file.name = name
    else:
        files = _compiled(parts)
    _add(pool, dict(files))
    return pool.FindFileByName(f"schema_{registered.id}.proto")


def _parts(
    name: str, registered: RegisteredSchema, source: SchemaRegistry
) -> Iterator[tuple[str, str]]:
    for other, subject, version in registered.references:
        path = PurePosixPath(other)
        if path.is_absolute() or ".." in path.parts or other.startswith("-"):
            raise UnreadableData(
                f"Expected the relative name of a .proto file, found {other!r}",
                hint=f"{name} of the registry refers to it",
            )
        yield from _parts(other, source.referenced(subject, version, "serialized"), source)
    yield name, registered.text


def _descriptor(text: str) -> Any:
    """Read a serialized descriptor; None if it is the text of a .proto file."""
    descriptors = require("google.protobuf.descriptor_pb2", "protobuf")
    try:
        return descriptors.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, require("google.protobuf.message", "").DecodeError):
        return None


def _compiled(parts: Mapping[str, str]) -> list[tuple[str, Any]]:
    protoc = require("grpc_tools.protoc", "protobuf")
    descriptors = require("google.protobuf.descriptor_pb2", "protobuf")
    included = Path(protoc.__file__).parent / "_proto"
    with TemporaryDirectory() as folder:
        for name, text in parts.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        target = Path(folder, "set.bin")
        arguments = ["protoc", f"-I{folder}", f"-I{included}", "--include_imports"]
        if protoc.main([*arguments, f"--descriptor_set_out={target}", *parts]):
            raise UnreadableData(
                f"Expected .proto files that protoc takes, found {', '.join(parts)}",
                hint="what protoc says is in the run's log",
            )
        found = descriptors.FileDescriptorSet.FromString(target.read_bytes())
    return [(file.name, file) for file in found.file]


def _add(pool: Any, files: Mapping[str, Any]) -> None:
    """Add files after those that they import; Google's own come from the library."""
    descriptor_pool = require("google.protobuf.descriptor_pool", "protobuf")
    added: set[str] = set()

    def add(name: str) -> None:
        if name in added:
            return
        added.add(name)
        file = files.get(name)
        if file is None:
            descriptors = require("google.protobuf.descriptor_pb2", "protobuf")
            if name == "google/protobuf/timestamp.proto":
                require("google.protobuf.timestamp_pb2", "protobuf")
            file = descriptors.FileDescriptorProto()
            descriptor_pool.Default().FindFileByName(name).CopyToProto(file)
        for imported in file.dependency:
            add(imported)
        pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())

    for name in files:
        add(name)


def _path(body: bytes) -> tuple[list[int], int]:
    """Read which message of the file it is: indexes from the outermost in; 0 alone is the first."""
    count, place = _varint(body, 0)
    if count == 0:
        return [0], place
    path = []
    for _ in range(count):
        index, place = _varint(body, place)
        if index < 0:
            msg = f"{index} where the message's index is"
            raise ValueError(msg)
        path.append(index)
    return path, place


def _varint(body: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), place
        shift += 7
        if shift > 63:
            msg = "no number where the message's index is"
            raise ValueError(msg)


def _message(file: Any, path: Sequence[int]) -> Any:
    kinds = list(file.message_types_by_name.values())
    found = kinds[path[0]]
    for index in path[1:]:
        found = found.nested_types[index]
    return found


def _class(kind: Any) -> Any:
    return require("google.protobuf.message_factory", "protobuf").GetMessageClass(kind)


def _columns(kind: Any) -> Iterator[Column]:
    for field in kind.fields:
        yield Column(field.name, _type(field), nullable=field.has_presence)


def _type(field: Any) -> str:
    if field.is_repeated:
        return ""
    if field.message_type is not None:
        return "timestamp[us, UTC]" if field.message_type.full_name == _TIME else ""
    names = {number: name for name, number in type(field).__dict__.items() if name[:5] == "TYPE_"}
    return _TYPES.get(names.get(field.type, ""), "")


def _row(message: Any) -> dict[str, Any]:
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Any, field: Any) -> Any:
    if field.is_repeated:
        values = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return [{"key": key, "value": _value(field, values[key])} for key in values]
        return [_value(field, value) for value in values]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(field, getattr(message, field.name))


def _value(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    if field.message_type is None or not hasattr(value, "DESCRIPTOR"):
        return value
    if field.message_type.full_name == _TIME:
        return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    return _row(value)
