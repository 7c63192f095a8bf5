"""`kafka(...)`: how a source says which topic it reads. A pure declaration."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from afresh.assets.declare import Declared, Option
from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Sensor
from afresh.sensors.kafka_topics.security import Setting, declared_security, is_loopback

COLUMNS = ("key", "headers", "timestamp", "offset", "partition")
"""What may be had of a message beside its value."""
FORMATS = ("json", "jsonl", "avro", "protobuf", "json_schema")
TOMBSTONES = ("reject", "row")
WITH_REGISTRY = ("avro", "protobuf", "json_schema")
BATCH_ROWS = 50_000
BATCH_BYTES = 16 << 20
BATCH_SECONDS = 0.25
_LONGEST_NAME = 249
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

Start = str | datetime | Mapping[int, int]


class KafkaSpec(msgspec.Struct, frozen=True):
    """A topic, as `kafka(...)` was called; checked when the definitions load."""

    topic: str
    servers: str | Sequence[str]
    format: str
    start: Start
    batch_rows: int
    batch_bytes: int
    batch_seconds: float
    columns: Sequence[str]
    options: Mapping[str, Option]
    registry: str
    security: Mapping[str, Setting]
    allow_plaintext: bool
    tombstones: str = "reject"

    def declared(self) -> Declared:
        """Work it out. Raises DefinitionError for what cannot be."""
        servers = _servers(self.servers)
        self._check()
        options: dict[str, Option] = dict(self.options)
        if self.columns:
            options["columns"] = ",".join(_columns(self.columns))
        if self.registry:
            options["registry"] = self.registry
        if self.tombstones != "reject":
            options["tombstones"] = self.tombstones
        return Declared(
            sensor=Sensor(
                "kafka",
                {
                    "topic": self.topic,
                    "servers": servers,
                    "start": _start(self.start),
                    "batch_rows": self.batch_rows,
                    "batch_bytes": self.batch_bytes,
                    "batch_seconds": float(self.batch_seconds),
                    "security": declared_security(
                        self.security,
                        beyond_loopback=not all(map(is_loopback, servers)),
                        allow_plaintext=self.allow_plaintext,
                    ),
                },
            ),
            format=self.format,
            options=options,
            stream=True,
        )

    def _check(self) -> None:
        name = self.topic
        if (
            not _is_text(name)
            or not 0 < len(name) <= _LONGEST_NAME
            or name in {".", ".."}
            or not _NAME.issuperset(name)
        ):
            raise DefinitionError(
                f"Expected the name of a topic, found {name!r}",
                hint='letters, digits, ".", "_" and "-": kafka("orders", servers="...")',
            )
        if self.format not in FORMATS:
            raise DefinitionError(
                f"Expected a format of messages ({', '.join(FORMATS)}), found {self.format!r}",
                hint='write format="json"',
            )
        if self.format in WITH_REGISTRY and not self.registry:
            raise DefinitionError(
                f"Expected a registry for messages in {self.format}, found none",
                hint='write registry="http://127.0.0.1:8081"',
            )
        for option, count in (("batch_rows", self.batch_rows), ("batch_bytes", self.batch_bytes)):
            if not _is_number(count, int) or count < 1:
                raise DefinitionError(
                    f"Expected {option} of 1 or more, found {count!r}", hint=f"leave {option} out"
                )
        if self.tombstones not in TOMBSTONES:
            raise DefinitionError(
                f"Expected tombstones as one of {', '.join(TOMBSTONES)}, found {self.tombstones!r}",
                hint='write tombstones="row" for a row of nulls beside the key',
            )
        seconds = self.batch_seconds
        if not _is_number(seconds, int, float) or not 0 <= seconds <= 3600:
            raise DefinitionError(
                f"Expected batch_seconds from 0 to 3600, found {seconds!r}",
                hint="write batch_seconds=0.25",
            )
        for option, value in self.options.items():
            if not _is_plain(value):
                raise DefinitionError(
                    f"Expected plain values as options of a format, found {option}={value!r}",
                    hint="options are strings, numbers, booleans or None",
                )


def _is_text(given: object) -> bool:
    return isinstance(given, str)


def _is_plain(given: object) -> bool:
    return given is None or isinstance(given, str | int | float | bool)


def _is_number(given: object, *kinds: type) -> bool:
    return isinstance(given, kinds) and not isinstance(given, bool)


def _servers(given: object) -> list[str]:
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or not parts:
        raise DefinitionError(
            f"Expected the servers of a cluster, found {given!r}",
            hint='write servers="127.0.0.1:9092"',
        )
    servers = []
    for part in parts:
        text = part.strip() if isinstance(part, str) else ""
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16 or "@" in host:
            raise DefinitionError(
                f"Expected servers as host:port, found {part!r}",
                hint='write servers="127.0.0.1:9092"; names and passwords go to security=',
            )
        servers.append(text)
    return servers


def _columns(given: Sequence[str]) -> list[str]:
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if name not in COLUMNS:
            raise DefinitionError(
                f"Expected columns of messages ({', '.join(COLUMNS)}), found {name!r}",
                hint="the fields of the value are columns by themselves",
            )
    if len(set(names)) < len(names):
        raise DefinitionError(
            f"Expected each column once, found {', '.join(names)}", hint="leave out the second"
        )
    return names


def _start(given: object) -> str | dict[str, int]:
    if isinstance(given, Mapping):
        for partition, offset in given.items():
            for number in (partition, offset):
                if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                    raise DefinitionError(
                        f"Expected offsets by partition, found {partition!r}: {offset!r}",
                        hint="write start={0: 1200, 1: 0}; the others begin at their beginning",
                    )
        return {str(partition): offset for partition, offset in given.items()}
    if given in ("beginning", "end"):
        return str(given)
    at = given
    if isinstance(given, str):
        try:
            at = datetime.fromisoformat(given)
        except ValueError:
            at = None
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise DefinitionError(
            f"Expected a start, found {given!r}",
            hint='write "beginning", "end", a time with its zone such as '
            '"2026-11-01T00:00:00+00:00", or {partition: offset}',
        )
    return at.isoformat()


def kafka(
    topic: str,
    *,
    servers: str | Sequence[str],
    format: str = "json",  # noqa: A002 - the word users know
    start: Start = "beginning",
    batch_rows: int = BATCH_ROWS,
    batch_bytes: int = BATCH_BYTES,
    batch_seconds: float = BATCH_SECONDS,
    columns: Sequence[str] = (),
    options: Mapping[str, Option] | None = None,
    registry: str = "",
    security: Mapping[str, Setting] | None = None,
    allow_plaintext: bool = False,
    tombstones: str = "reject",
) -> KafkaSpec:
    """Read the topic of a Kafka cluster.

    `source("orders", kafka("orders", servers="127.0.0.1:9092"), schema=Order)`

    The source is a stream: what is read is appended, and no record is read twice. Offsets are kept
    in afresh's ledger, not in Kafka; no consumer group is used. What cannot be read any more (the
    log was truncated, the topic made anew) is recorded as a gap with its exact range. After
    `afresh sensors reset` it begins at `start` again: what is read again is appended again, and the
    journal keeps where it was.

    `servers` are `host:port`, in a list or separated by commas. `format` is how values are written:
    "json" (an object each), "jsonl" (objects, a line each), "avro", "protobuf", "json_schema" (the
    last three with a Confluent-compatible `registry`, its URL; what it needs goes to `options`:
    "registry_username", "registry_password_env" or "registry_password_file" (where it is),
    "registry_ca"; plain http to another host takes "registry_plaintext": True). `start` counts when
    the source is new: "beginning", "end", a time with its zone (records from then on), or
    `{partition: offset}` (partitions that are not named begin at their beginning).

    A batch is recorded when it has `batch_rows` records or about `batch_bytes` of them, or
    `batch_seconds` after the one before; so a record that comes alone does not wait. `columns` adds
    what a message has beside its value: "key", "headers", "timestamp", "offset", "partition".

    Of transactions only what was committed is read. What was aborted or taken out by compaction
    leaves offsets without records: they are passed, and are no gaps. A message without a value (a
    tombstone, which says that its key is deleted) is a dead letter; with `tombstones="row"` it is a
    row: null in every field of the value, for which the schema must let them be.

    `security`: `{"tls": True, "ca": "certs/ca.pem", "certificate": ..., "key": ..., "key_password":
    ..., "sasl": "SCRAM-SHA-512", "username": "me", "password": env("KAFKA_PASSWORD")}`; sasl is
    PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, passwords are `env(...)` or `secret_file(...)`. Without
    TLS to other hosts than this one, everybody on the way can read: that takes
    `allow_plaintext=True`.
    """
    return KafkaSpec(
        topic=topic,
        servers=servers,
        format=format,
        start=start,
        batch_rows=batch_rows,
        batch_bytes=batch_bytes,
        batch_seconds=batch_seconds,
        columns=columns,
        options=options or {},
        registry=registry,
        security=security or {},
        allow_plaintext=allow_plaintext,
        tombstones=tombstones,
    )
