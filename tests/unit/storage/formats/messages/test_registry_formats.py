"""Avro, Protobuf and JSON Schema with a registry: decoded, checked, refused, waited for."""

import io
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from afresh.assets.errors import StorageUnavailable, UnreadableData, UsageError
from afresh.assets.manifest import Column, Schema, Where
from afresh.storage.formats.messages import schema_registry as registries
from afresh.storage.formats.messages.base import Decoded, Wanted
from afresh.storage.formats.messages.registry import check_message_options, message_format
from services.registry import Registry

PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "int"},
        {"name": "name", "type": ["null", "string"]},
        {
            "name": "price",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        },
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    ],
}
AT = datetime(2026, 11, 21, 6, 0, 0, 123000, tzinfo=UTC)
ROW = {"id": 7, "name": "x", "price": Decimal("1.50"), "at": AT, "day": date(2026, 11, 21)}
TYPES = {
    "id": "int64",
    "name": "string",
    "price": "decimal(9, 2)",
    "at": "timestamp[us, UTC]",
    "day": "date",
}


def framed(schema_id: int, body: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + body


def avro(schema_id: int, schema: Any, row: Mapping[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), row)
    return framed(schema_id, out.getvalue())


def declared(
    types: Mapping[str, str], nullable: tuple[str, ...] = ("name",), **given: Any
) -> Wanted:
    columns = tuple(Column(name, kind, nullable=name in nullable) for name, kind in types.items())
    schema = Schema("Order", columns, given.pop("strict", "open"), "", "", Where("pipeline.py", 3))
    return Wanted(types, given.pop("others", "ignore"), schema)


def decode(
    kind: str, registry: Registry, values: list[bytes], wanted: Wanted, **options: Any
) -> Decoded:
    return message_format(kind).decode(values, wanted, {"registry": registry.url, **options})


# Avro


def test_avro_is_read_by_the_schema_of_each_message(schema_registry: Registry) -> None:
    first = schema_registry.register("orders-value", ORDER)
    wider = {**ORDER, "fields": [*ORDER["fields"], {"name": "more", "type": "string"}]}
    second = schema_registry.register("orders-value", wider)
    values = [avro(first, ORDER, ROW), avro(second, wider, {**ROW, "id": 8, "more": "m"})] * 2
    found = decode("avro", schema_registry, values, declared(TYPES))
    assert found.bad == {}
    assert found.table.column_names == list(TYPES)
    assert found.table.column("id").to_pylist() == [7, 8, 7, 8]
    assert str(found.table.schema.field("id").type) == "int64"
    assert found.table.slice(0, 1).to_pylist() == [ROW]
    assert list(found.sources or ()) == [0, 1, 2, 3]
    assert len(schema_registry.asked) == 2


def test_avro_without_a_schema_gives_all_fields_by_their_types(schema_registry: Registry) -> None:
    known = schema_registry.register("orders-value", ORDER)
    found = decode("avro", schema_registry, [avro(known, ORDER, ROW)], Wanted())
    assert [str(field.type) for field in found.table.schema] == [
        "int32",
        "string",
        "decimal128(9, 2)",
        "timestamp[ms, tz=UTC]",
        "date32[day]",
    ]


def test_avro_that_is_none_is_bad_and_costs_no_other(schema_registry: Registry) -> None:
    known = schema_registry.register("orders-value", ORDER)
    good = avro(known, ORDER, ROW)
    values = [good, b"{}", b"", good[:-3], good + b"x", framed(99, b""), good, good[:5]]
    found = decode("avro", schema_registry, values, declared(TYPES))
    assert sorted(found.bad) == [1, 2, 3, 4, 5, 7]
    assert list(found.sources or ()) == [0, 6]
    assert found.table.num_rows == 2
    assert "no schema 99" in found.bad[5]
    assert "a zero and a schema's id" in found.bad[1]
    assert "found more after it" in found.bad[4]


def test_avro_schemas_may_refer_to_others(schema_registry: Registry) -> None:
    address = {
        "type": "record",
        "name": "com.Address",
        "fields": [{"name": "city", "type": "string"}],
    }
    schema_registry.register("address", address)
    person = {
        "type": "record",
        "name": "com.Person",
        "fields": [{"name": "id", "type": "long"}, {"name": "address", "type": "com.Address"}],
    }
    known = schema_registry.register(
        "person",
        person,
        references=[{"name": "com.Address", "subject": "address", "version": 1}],
    )
    whole = {
        **person,
        "fields": [person["fields"][0], {"name": "address", "type": address}],
    }
    value = avro(known, whole, {"id": 1, "address": {"city": "Bonn"}})
    found = decode("avro", schema_registry, [value], Wanted())
    assert found.table.to_pylist() == [{"id": 1, "address": {"city": "Bonn"}}]


# The contract


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "string"}, r"column 'id' of int64, found string.*'id' of string.*'id' of int64"),
        ({"type": ["null", "int"]}, "'id' without nulls, found it nullable"),
        (None, "Expected column 'id', found none"),
        ({"type": "double"}, "column 'id' of int64, found float64"),
    ],
)
def test_a_schema_that_breaks_the_contract_is_refused(
    schema_registry: Registry, change: dict[str, Any] | None, message: str
) -> None:
    """The field and both declarations are named, and nothing of the batch is published."""
    first = schema_registry.register("orders-value", ORDER)
    fields = [field for field in ORDER["fields"] if field["name"] != "id"]
    broken = {**ORDER, "fields": fields if change is None else [{"name": "id", **change}, *fields]}
    row = {**ROW, "id": "7" if change == {"type": "string"} else 7}
    second = schema_registry.register("orders-value", broken)
    values = [avro(first, ORDER, ROW), avro(second, broken, row)]
    with pytest.raises(UnreadableData, match=message) as caught:
        decode("avro", schema_registry, values, declared(TYPES))
    assert f"schema {second} of the registry" in caught.value.error
    assert caught.value.where == "pipeline.py:3"


def test_fields_that_nobody_expects_break_a_strict_contract(schema_registry: Registry) -> None:
    known = schema_registry.register("orders-value", ORDER)
    types = {name: kind for name, kind in TYPES.items() if name != "day"}
    value = avro(known, ORDER, ROW)
    with pytest.raises(UnreadableData, match=r"Expected only the columns of strict Order.*'day'"):
        decode("avro", schema_registry, [value], declared(types, strict="strict", others="refuse"))
    assert decode("avro", schema_registry, [value], declared(types)).table.num_rows == 1


def test_what_a_record_has_beside_its_value_is_no_breach(schema_registry: Registry) -> None:
    known = schema_registry.register("orders-value", ORDER)
    wanted = declared({**TYPES, "offset": "int64"})
    found = decode("avro", schema_registry, [avro(known, ORDER, ROW)], wanted, columns="offset")
    assert found.table.num_rows == 1


# JSON Schema

PERSON = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "name": {"type": ["string", "null"], "maxLength": 3},
        "at": {"type": "string", "format": "date-time"},
    },
    "required": ["id", "at"],
}
PERSON_TYPES = {"id": "int64", "name": "string", "at": "timestamp[us, UTC]"}


def test_json_is_checked_against_its_schema(schema_registry: Registry) -> None:
    known = schema_registry.register("people", PERSON, "JSON")
    bodies = [
        b'{"id":1,"name":"a","at":"2026-11-21T06:00:00Z"}',
        b'{"id":1,"name":"long","at":"2026-11-21T06:00:00Z"}',
        b'{"name":"a"}',
        b"nonsense",
        b'{"id":2,"name":null,"at":"2026-11-21T06:00:00Z"}',
        b'{"id":3,"name":"c","at":"no time"}',
    ]
    values = [framed(known, body) for body in bodies]
    found = decode("json_schema", schema_registry, values, declared(PERSON_TYPES))
    assert found.table.column("id").to_pylist() == [1, 2]
    assert list(found.sources or ()) == [0, 4]
    assert sorted(found.bad) == [1, 2, 3, 5]
    assert "['name']" in found.bad[1]
    assert "'id' is a required property" in found.bad[2]


def test_a_json_schema_that_breaks_the_contract_is_refused(schema_registry: Registry) -> None:
    broken = {**PERSON, "required": ["at"]}
    known = schema_registry.register("people", broken, "JSON")
    value = framed(known, b'{"id":1,"name":"a","at":"2026-11-21T06:00:00Z"}')
    with pytest.raises(UnreadableData, match="'id' without nulls"):
        decode("json_schema", schema_registry, [value], declared(PERSON_TYPES))


def test_json_schemas_may_refer_to_others(schema_registry: Registry) -> None:
    schema_registry.register("number", {"type": "integer", "minimum": 10}, "JSON")
    known = schema_registry.register(
        "box",
        {"type": "object", "properties": {"id": {"$ref": "number.json"}}},
        "JSON",
        references=[{"name": "number.json", "subject": "number", "version": 1}],
    )
    values = [framed(known, b'{"id":%d}' % number) for number in (9, 10)]
    found = decode("json_schema", schema_registry, values, Wanted())
    assert list(found.bad) == [0]
    assert found.table.to_pylist() == [{"id": 10}]


# Protobuf

PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
enum Kind { OTHER = 0; BOOK = 1; }
message Ignored { string a = 1; }
message Order {
  message Line { string name = 1; int32 count = 2; }
  int32 id = 1;
  optional string name = 2;
  google.protobuf.Timestamp at = 3;
  Kind kind = 4;
  repeated Line lines = 5;
  map<string, int64> sums = 6;
}
"""
PROTO_TYPES = {"id": "int64", "name": "string", "at": "timestamp[us, UTC]", "kind": "string"}


def compiled(name: str, text: str, tmp_path: Any) -> descriptor_pb2.FileDescriptorProto:
    from pathlib import Path

    from grpc_tools import protoc

    (tmp_path / name).write_text(text)
    included = Path(protoc.__file__).parent / "_proto"
    target = tmp_path / "out.bin"
    arguments = ["protoc", f"-I{tmp_path}", f"-I{included}", f"--descriptor_set_out={target}", name]
    assert protoc.main(arguments) == 0
    return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file[0]


def order(file: descriptor_pb2.FileDescriptorProto, **fields: Any) -> bytes:
    from google.protobuf import timestamp_pb2

    pool = descriptor_pool.DescriptorPool()
    for each in (timestamp_pb2.DESCRIPTOR.serialized_pb, file.SerializeToString()):
        pool.AddSerializedFile(each)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))
    made = kind(**fields)
    made.at.FromDatetime(AT)
    made.lines.add(name="pen", count=2)
    made.sums["a"] = 5
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("serialized", [True, False])
def test_protobuf_is_read_from_a_descriptor_or_from_text(
    schema_registry: Registry, tmp_path: Any, serialized: bool
) -> None:
    file = compiled("order.proto", PROTO, tmp_path)
    known = schema_registry.register(
        "orders",
        PROTO,
        "PROTOBUF",
        descriptor=file.SerializeToString() if serialized else b"",
    )
    second_message = b"\x02\x02"  # one index, zigzag: 1
    values = [
        framed(known, second_message + order(file, id=7, name="x", kind=1)),
        framed(known, second_message + order(file, id=8, kind=9)),
        framed(known, second_message + b"\xff"),
        framed(known, b"\x02\x7e"),
        framed(known, b""),
    ]
    wanted = declared(PROTO_TYPES, nullable=("name", "at"), others="keep")
    found = decode("protobuf", schema_registry, values, wanted)
    assert sorted(found.bad) == [2, 3, 4]
    first, second = found.table.to_pylist()
    assert first == {
        "id": 7,
        "name": "x",
        "at": AT,
        "kind": "BOOK",
        "lines": [{"name": "pen", "count": 2}],
        "sums": [{"key": "a", "value": 5}],
    }
    assert (second["name"], second["kind"]) == (None, "9")


def test_a_message_that_breaks_the_contract_is_refused(
    schema_registry: Registry, tmp_path: Any
) -> None:
    text = PROTO.replace("int32 id = 1", "string id = 1")
    file = compiled("order.proto", text, tmp_path)
    known = schema_registry.register(
        "orders", text, "PROTOBUF", descriptor=file.SerializeToString()
    )
    value = framed(known, b"\x02\x02" + order(file, id="7"))
    with pytest.raises(UnreadableData, match=r"shop\.Order in schema .* 'id' of string"):
        decode("protobuf", schema_registry, [value], declared(PROTO_TYPES, nullable=("name", "at")))


def test_protobuf_files_may_import_others(schema_registry: Registry) -> None:
    schema_registry.register(
        "common", 'syntax="proto3"; message Money { int64 cents = 1; }', "PROTOBUF"
    )
    known = schema_registry.register(
        "bill",
        'syntax="proto3"; import "common.proto"; message Bill { Money sum = 1; }',
        "PROTOBUF",
        references=[{"name": "common.proto", "subject": "common", "version": 1}],
    )
    value = framed(known, b"\x00" + b"\x0a\x02\x08\x05")
    found = decode("protobuf", schema_registry, [value], Wanted())
    assert found.table.to_pylist() == [{"sum": {"cents": 5}}]


@pytest.mark.parametrize("name", ["../escaped.proto", "/tmp/escaped.proto", "--version"])  # noqa: S108
def test_files_are_imported_under_plain_names_alone(schema_registry: Registry, name: str) -> None:
    """A registry's names become paths and arguments of protoc."""
    schema_registry.register("common", 'syntax="proto3"; message Money {}', "PROTOBUF")
    known = schema_registry.register(
        "bill",
        'syntax="proto3"; message Bill {}',
        "PROTOBUF",
        references=[{"name": name, "subject": "common", "version": 1}],
    )
    with pytest.raises(UnreadableData, match="relative name"):
        decode("protobuf", schema_registry, [framed(known, b"\x00")], Wanted())


def test_a_message_of_a_negative_index_is_bad(schema_registry: Registry) -> None:
    known = schema_registry.register("bill", 'syntax="proto3"; message Bill {}', "PROTOBUF")
    found = decode("protobuf", schema_registry, [framed(known, b"\x02\x01")], Wanted())
    assert list(found.bad) == [0]


def test_a_time_beyond_the_calendar_costs_its_message_alone(
    schema_registry: Registry, tmp_path: Any
) -> None:
    file = compiled("order.proto", PROTO, tmp_path)
    known = schema_registry.register(
        "orders", PROTO, "PROTOBUF", descriptor=file.SerializeToString()
    )
    good = framed(known, b"\x02\x02" + order(file, id=7))
    seconds = b"\x08" + b"\xff" * 8 + b"\x7f"
    late = good + b"\x1a" + bytes([len(seconds)]) + seconds
    wanted = declared(PROTO_TYPES, nullable=("name", "at"))
    found = decode("protobuf", schema_registry, [good, late, good], wanted)
    assert list(found.bad) == [1]
    assert found.table.column("id").to_pylist() == [7, 7]


# The registry


def test_a_registry_that_does_not_answer_is_nobodys_data(
    schema_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, as for a full disk; no record is bad for it."""
    known = schema_registry.register("orders-value", ORDER)
    values = [avro(known, ORDER, ROW)]
    schema_registry.status = 503
    with pytest.raises(StorageUnavailable, match="found 503"):
        decode("avro", schema_registry, values, declared(TYPES))
    schema_registry.status = 200
    monkeypatch.setattr(registries, "TIMEOUT_SECONDS", 0.1)
    schema_registry.delay_seconds = 0.5
    with pytest.raises(StorageUnavailable, match="timed out"):
        decode("avro", schema_registry, values, declared(TYPES))
    schema_registry.delay_seconds = 0
    monkeypatch.setattr(registries, "TIMEOUT_SECONDS", 10)
    schema_registry.garbled = True
    with pytest.raises(StorageUnavailable, match="found nonsense"):
        decode("avro", schema_registry, values, declared(TYPES))
    schema_registry.garbled = False
    assert decode("avro", schema_registry, values, declared(TYPES)).bad == {}


def test_a_registry_that_is_not_there_is_waited_for(schema_registry: Registry) -> None:
    schema_registry.close()
    try:
        with pytest.raises(StorageUnavailable, match="refused"):
            decode("avro", schema_registry, [framed(1, b"")], Wanted())
    finally:
        Registry.__init__(schema_registry)


def test_a_registry_may_want_a_password(
    schema_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = schema_registry.register("orders-value", ORDER)
    schema_registry.password = "me:hunter2"  # noqa: S105
    values = [avro(known, ORDER, ROW)]
    with pytest.raises(StorageUnavailable, match="401") as caught:
        decode("avro", schema_registry, values, Wanted())
    monkeypatch.setenv("REGISTRY_PASSWORD", "hunter2")
    options = {"registry_username": "me", "registry_password_env": "REGISTRY_PASSWORD"}
    assert decode("avro", schema_registry, values, Wanted(), **options).bad == {}
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        {"schema": 7},
        {"schema": "{}", "references": [{"name": "x"}]},
        {"schema": "{}", "references": 3},
    ],
)
def test_an_answer_that_is_none_is_nobodys_data(schema_registry: Registry, answer: Any) -> None:
    schema_registry.schemas[1] = answer
    with pytest.raises(StorageUnavailable, match="an answer"):
        decode("avro", schema_registry, [framed(1, b"")], Wanted())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "Expected the URL"),
        ("localhost:8081", "Expected the URL"),
        ("file:///etc/passwd", "Expected the URL"),
        ("http://me:hunter2@localhost:8081", "without a password"),
        ("http://registry.example.com:8081", "Expected https to a registry beyond this machine"),
        ("http://127.0.0.1.example.com", "Expected https to a registry beyond this machine"),
        ("http://10.0.0.7:8081", "Expected https to a registry beyond this machine"),
    ],
)
@pytest.mark.parametrize("kind", ["avro", "protobuf", "json_schema"])
def test_urls_that_cannot_be_are_refused_at_load(kind: str, url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check_message_options(message_format(kind), {"registry": url})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("kind", ["avro", "protobuf", "json_schema"])
def test_a_schema_of_another_kind_is_told(schema_registry: Registry, kind: str) -> None:
    other = {"avro": "JSON", "protobuf": "AVRO", "json_schema": "AVRO"}[kind]
    known = schema_registry.register("other", {"type": "object"}, other)
    with pytest.raises(UnreadableData, match=f"found one of {other}"):
        decode(kind, schema_registry, [framed(known, b"{}")], Wanted())


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://localhost:8081", {}),
        ("http://127.3.2.1:8081", {}),
        ("http://[::1]:8081", {}),
        ("https://registry.example.com", {}),
        ("http://registry.example.com", {"registry_plaintext": True}),
    ],
)
def test_plain_http_beyond_this_machine_is_an_explicit_choice(
    url: str, options: dict[str, bool]
) -> None:
    check_message_options(message_format("avro"), {"registry": url, **options})


def test_a_registry_that_sends_elsewhere_gets_nobodys_password_there(
    schema_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "hunter2")
    other = Registry()
    try:
        schema_registry.elsewhere = other.url
        options = {"registry_username": "me", "registry_password_env": "REGISTRY_PASSWORD"}
        with pytest.raises(UnreadableData, match="sends elsewhere") as told:
            decode("avro", schema_registry, [framed(1, b"")], Wanted(), **options)
    finally:
        other.close()
    assert other.asked == []
    assert other.url in told.value.error
