"""The task is data: what a worker is given and what it gives back.

Small, serializable, no decoded data: a process here, Ray there or a program in another language
can do the work. Encoded with msgspec as MessagePack.
"""

from typing import Literal

import msgspec

from afresh.sensors.base import Identity, ObjectIdentity


class Part(msgspec.Struct, frozen=True):
    """One version of one unit that a run reads: where its artifact is, and its bytes' hash.

    A version of a stream has several parts, a segment each: of its artifact `take` rows (None: all)
    from row `skip` on. `rows` counts what is read.
    """

    partition: str
    version: int
    uri: str
    hash: str
    rows: int
    skip: int = 0
    take: int | None = None
    schema_version: str = ""
    """Of a stream, under which these rows were validated."""


class RecordBatch(msgspec.Struct, frozen=True):
    """Records that a stream's source brought in one event, encoded as `sensors.records` says.

    They are in `payload`, or in the file `staged`; `position` says as JSON where they come from.
    """

    seq: int
    uri: str = ""
    payload: bytes = b""
    staged: str = ""
    position: str = ""
    observed_at: float = 0.0


class Merge(msgspec.Struct, frozen=True):
    """Small segments that lie beside each other, in order, to be one artifact at `uri`."""

    asset: str
    uri: str
    parts: tuple[Part, ...]


class TaskInput(msgspec.Struct, frozen=True):
    """What one parameter is given: the parts in key order, one unless the input reads all."""

    parameter: str
    asset: str
    parts: tuple[Part, ...]


class Target(msgspec.Struct, frozen=True):
    """Where an output's artifact is to be written: a new name that nobody reads yet."""

    asset: str
    uri: str


class Task(msgspec.Struct, frozen=True):
    """One attempt. An ingest reads `path` into a source's unit, a run calls a function.

    A merge has nothing but `merges`; `validate` holds the parts of its one input against the schema
    of the asset `name`.
    """

    run: str
    kind: Literal["ingest", "run", "merge", "validate"]
    name: str
    """The source's or the function's name in the manifest."""
    partition: str
    attempt: int
    targets: tuple[Target, ...]
    inputs: tuple[TaskInput, ...] = ()
    path: str = ""
    """Ingest: the absolute path (as os.fsdecode gives it: surrogateescape) of the file to read."""
    outside: bool = False
    """Ingest: a server is asked for the data, which may hang."""
    known: dict[str, str] = {}
    """Per output asset the fingerprint of the head: equal content is not written again."""
    kept: dict[str, tuple[str, str]] = {}
    """Of a forced run, by asset, the uri and hash of what is kept: written again if damaged."""
    events: tuple[int, ...] = ()
    timeout_seconds: float | None = None
    batches: tuple[RecordBatch, ...] = ()
    """Ingest of a stream: what to append, in order; there is no `path` then."""
    appends: bool = False
    """Run: what is returned are new rows of the outputs, which are streams."""
    merges: tuple[Merge, ...] = ()
    """To be done beside; that it cannot be done is no failure."""
    depth: int = 0
    """Run: how many runs in a row led to it, itself included, each to the next."""


class Written(msgspec.Struct, frozen=True, tag=True):
    """A valid output.

    `columns` maps each column to its content hash, `fingerprint` is of the whole table. `uri` is
    empty when the content equals the known fingerprint: nothing was written.
    """

    asset: str
    uri: str
    fingerprint: str
    columns: dict[str, str]
    rows: int
    bytes: int
    hash: str
    schema_version: str
    metadata: dict[str, str] = {}


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """An output that is not valid: nothing is published. `cases` are at most 100 failure cases."""

    asset: str
    error: str
    hint: str = ""
    cases: tuple[dict[str, str], ...] = ()
    total: int = 0
    uri: str = ""
    """Where the rejected data is kept, if it could be read."""
    where: str = ""
    """The file that it is from, of what was read."""


class Failed(msgspec.Struct, frozen=True):
    """The attempt failed: `kind` is why, `error` one line, `where` `file:line` in user code."""

    kind: Literal[
        "raised",
        "killed",
        "timeout",
        "memory",
        "exited",
        "unreadable",
        "changed",
        "internal",
        "storage",
        "vanished",
        "cancelled",
        "displaced",
    ]
    error: str
    hint: str = ""
    where: str = ""
    exception: str = ""
    """The exception's qualified class name, for retries by class."""


class DeadRecord(msgspec.Struct, frozen=True):
    """A record of a batch that cannot be published: number `number` of event `seq`, from 0.

    `place` is JSON: uri, channel and offset; `record` is it as `sensors.records` encodes one.
    """

    seq: int
    number: int
    place: str
    reason: str
    record: bytes


class Merged(msgspec.Struct, frozen=True):
    """What a merge wrote."""

    asset: str
    uri: str
    fingerprint: str
    columns: dict[str, str]
    rows: int
    bytes: int
    hash: str


class Verdict(msgspec.Struct, frozen=True):
    """What a schema says of stored data; `unread` where it could not be held against it.

    `schema_version` is the schema's. `cases` are at most 100 failure cases.
    """

    state: Literal["ok", "suspect", "unread"]
    schema_version: str
    error: str = ""
    cases: tuple[dict[str, str], ...] = ()
    total: int = 0


class Result(msgspec.Struct, frozen=True):
    """What came of a task: one entry an output, or `failed`; `identity` is what an ingest read.

    An ingest of a stream has no output where no record is left after `dead`.
    """

    run: str
    outputs: tuple[Written | Rejected, ...] = ()
    failed: Failed | None = None
    seconds: float = 0.0
    source_hash: str = ""
    identity: Identity | None = None
    object_identity: ObjectIdentity | None = None
    dead: tuple[DeadRecord, ...] = ()
    emptied: tuple[int, ...] = ()
    """The events of which no record was left, though they had some."""
    merged: tuple[Merged, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """Of a validation, one for each part, in their order."""
    wrote: tuple[str, ...] = ()
    """The real paths of files that a function opened for writing, as far as that is known."""
