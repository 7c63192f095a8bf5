"""The ledger's tables. SQLModel declares them; commits and queries address them by name.

Times are seconds since the epoch as floats (UTC), for display only; order is `seq` and `epoch`.
JSON and MessagePack columns say so in their name or comment.
"""

from sqlalchemy import Column, Index, LargeBinary, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

# SQLite keeps a table with a key of several columns twice (rows, and an index of the key) unless
# told otherwise: small rows live in the key's tree alone, which halves the pages a commit touches.
_IN_KEY_ORDER = {"sqlite_with_rowid": False}


class Table(SQLModel, registry=registry()):
    """The base of the ledger's tables: its own metadata, so that no other SQLModel can clash."""


class Lease(Table, table=True):
    """Who writes: one row, id 1. `term` grows with each holder (fencing)."""

    id: int = Field(primary_key=True)
    term: int
    holder: str
    pid: int
    host: str
    socket: str
    acquired_at: float
    released_at: float | None = None


class Unit(Table, table=True):
    """One (asset, partition key) and what is settled of it. `version` is the head's number."""

    __table_args__ = _IN_KEY_ORDER
    asset: str = Field(primary_key=True)
    partition: str = Field(primary_key=True)
    version: int | None = None
    epoch: int = 0
    run_key: str = ""
    deleted: bool = False
    code_version: str = ""
    code_stale: bool = False
    failed_run: str | None = None
    updated_at: float


class Event(Table, table=True):
    """The journal. `detail` is the reason of a rejection and the like; `identity` is JSON.

    A batch of a stream's records is in `payload`, or in the file `staged`; `position` is JSON.
    `depth` is how many runs in a row led to it, each to the next by what it wrote.
    """

    __table_args__ = (
        Index(
            "ix_event_staged",
            "staged",
            sqlite_where=text("staged <> ''"),
            postgresql_where=text("staged <> ''"),
        ),
        Index(
            "ix_event_depth",
            "seq",
            sqlite_where=text("depth > 0"),
            postgresql_where=text("depth > 0"),
        ),
    )
    seq: int = Field(primary_key=True)
    epoch: int | None = Field(default=None, index=True)
    sensor: str
    source: str
    partition: str
    kind: str
    uri: str
    observed_at: float
    state: str = Field(index=True)
    run: str | None = None
    detail: str = ""
    identity: str = ""
    payload: bytes = Field(
        default=b"", sa_column=Column(LargeBinary, nullable=False, server_default="")
    )
    staged: str = Field(default="", sa_column_kwargs={"server_default": ""})
    position: str = Field(default="", sa_column_kwargs={"server_default": ""})
    depth: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class LastEvent(Table, table=True):
    """When what a sensor brought last was observed: the journal need not be walked for it."""

    __tablename__ = "last_event"
    sensor: str = Field(primary_key=True)
    observed_at: float


class Path(Table, table=True):
    """What a sensor last recorded of each path: the state that scans are compared with."""

    __table_args__ = _IN_KEY_ORDER
    sensor: str = Field(primary_key=True)
    uri: str = Field(primary_key=True)
    identity: str
    seq: int


class Cursor(Table, table=True):
    """Where a sensor is; committed with its events (P1)."""

    sensor: str = Field(primary_key=True)
    value: str
    updated_at: float


class Version(Table, table=True):
    """One kept content of a unit.

    `columns` is JSON {column: content hash}; `hash` is of the stored bytes. Of a stream a version
    is the rows from `start_row` to `end_row` (excluded) of its sequence, which was begun anew with
    `origin_row`; `uri` and `hash` are empty: `segment` says where the rows are.
    """

    asset: str = Field(primary_key=True)
    partition: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    epoch: int
    fingerprint: str
    columns: str
    rows: int
    bytes: int
    hash: str
    uri: str
    schema_version: str
    code_version: str
    run: str
    created_at: float
    state: str
    metadata_json: str = "{}"
    start_row: int | None = None
    end_row: int | None = None
    origin_row: int | None = None


class Segment(Table, table=True):
    """Rows `first_row` to `end_row` (excluded) of a stream's sequence, in one artifact.

    `columns` is JSON {column: content hash}; `position` is JSON: where in the stream they are from.
    """

    asset: str = Field(primary_key=True)
    partition: str = Field(primary_key=True)
    first_row: int = Field(primary_key=True)
    end_row: int
    uri: str
    bytes: int
    hash: str
    fingerprint: str
    columns: str
    schema_version: str
    position: str
    run: str
    created_at: float


class Mark(Table, table=True):
    """How far an incremental reader has read a stream; committed with its version.

    `origin_row` is the row with which the stream was begun anew last.
    """

    __table_args__ = _IN_KEY_ORDER
    asset: str = Field(primary_key=True)
    partition: str = Field(primary_key=True)
    parameter: str = Field(primary_key=True)
    end_row: int
    origin_row: int
    run: str


class Garbage(Table, table=True):
    """An artifact that no version needs any more, to be deleted when nobody can be reading it."""

    uri: str = Field(primary_key=True)
    at: float


class DeadLetter(Table, table=True):
    """A record that could not be published: where it came from, why, and its bytes.

    `seq` is of the event that brought it, `number` counts within. `place` is JSON. `state` is
    `dead`, `replaying` (the event `replay_seq` tries it again), `replayed`, or `failed_again`: that
    event has a letter of its own for it.
    """

    __tablename__ = "dead_letter"
    seq: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    source: str = Field(index=True)
    partition: str
    place: str
    reason: str
    record: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str
    run: str
    at: float
    replay_seq: int | None = None


class Outgoing(Table, table=True):
    """The outbox: what is to be told outside, in the order of `number`; gone when delivered."""

    number: int = Field(primary_key=True)
    target: str = Field(index=True)
    payload: str
    at: float


class RunKey(Table, table=True):
    """Run keys whose outcome is known: many can lead to one version.

    `run` is the one that showed it.
    """

    __tablename__ = "run_key"
    __table_args__ = _IN_KEY_ORDER
    asset: str = Field(primary_key=True)
    partition: str = Field(primary_key=True)
    run_key: str = Field(primary_key=True)
    version: int
    run: str


class Validity(Table, table=True):
    """From this epoch on the unit is at this version (None: deleted), until its next row."""

    __table_args__ = _IN_KEY_ORDER
    asset: str = Field(primary_key=True)
    partition: str = Field(primary_key=True)
    epoch: int = Field(primary_key=True)
    version: int | None
    run: str | None


class Run(Table, table=True):
    """One attempt for one output unit; a function with several outputs has a row for each.

    `events` is JSON, the seqs it took; `staging` the artifact it was to write; `error` JSON.
    """

    __table_args__ = (Index("ix_run_unit", "asset", "partition", "run"),)
    run: str = Field(primary_key=True)
    asset: str = Field(primary_key=True)
    partition: str
    epoch: int
    attempt: int
    run_key: str
    state: str = Field(index=True)
    cause_kind: str
    cause_event: int | None
    events: str
    reasons: str
    code_version: str
    staging: str
    started_at: float
    ended_at: float | None = None
    error: str = ""
    version: int | None = None


class Lineage(Table, table=True):
    """What a run read: of an own partition the version, of a whole asset the epoch."""

    __table_args__ = (
        Index("ix_lineage_read", "asset", "partition", "version", "epoch"),
        _IN_KEY_ORDER,
    )
    run: str = Field(primary_key=True)
    parameter: str = Field(primary_key=True)
    asset: str
    reads: str
    epoch: int
    partition: str = ""
    version: int | None = None


class Failure(Table, table=True):
    """A failed run key is remembered: a restart does not try it again."""

    asset: str = Field(primary_key=True)
    partition: str = Field(primary_key=True)
    run_key: str
    run: str
    kind: str
    attempts: int
    at: float
    error: str


class Rejection(Table, table=True):
    """Why data was not published: at most 100 failure cases (JSON), where the data is kept."""

    run: str = Field(primary_key=True)
    asset: str = Field(primary_key=True)
    partition: str
    error: str
    cases: str
    total: int
    uri: str = ""


class Validation(Table, table=True):
    """Stored data held again against a schema that was changed, by the definitions of `event`.

    Of one version, or of a stream the rows `first_row` to `end_row` (excluded): `version` is 0.
    `state` is `ok`, `suspect`, or `unread`: it could not be held against it. `cases` is JSON.
    """

    asset: str = Field(primary_key=True)
    partition: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    first_row: int = Field(primary_key=True)
    end_row: int | None = None
    schema_version: str
    state: str = Field(index=True)
    event: int | None = None
    error: str = ""
    cases: str = "[]"
    total: int = 0
    at: float


class Revalidation(Table, table=True):
    """An asset of which stored data is still to be held against its changed schema.

    All that was not yet, or where the schema became looser `only_suspect` data.
    """

    asset: str = Field(primary_key=True)
    event: int | None = None
    only_suspect: bool = False


class Verification(Table, table=True):
    """A forced run: it gave equal content, or other content for the same run key."""

    run: str = Field(primary_key=True)
    asset: str = Field(primary_key=True)
    partition: str
    version: int
    equal: bool
    columns: str
    at: float


class Definitions(Table, table=True):
    """Each generation that was taken over, at the epoch that it took. `manifest` is MessagePack."""

    epoch: int = Field(primary_key=True)
    digest: str
    manifest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    loaded_at: float


class Pause(Table, table=True):
    """A paused asset (its units all) or one unit, or a paused sensor (`kind`).

    Of the kind `resumed` is a unit that goes on though its asset is paused.
    """

    __table_args__ = _IN_KEY_ORDER
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    partition: str = Field(primary_key=True)
    at: float


class Request(Table, table=True):
    """Requests that changed something, by id: a repeated one is answered, not done again."""

    id: str = Field(primary_key=True)
    op: str
    at: float
    response: str


class Alert(Table, table=True):
    """What has been alerted and not recovered: one alert for one trouble."""

    subject: str = Field(primary_key=True)
    state: str
    since: float
    detail: str


class Notice(Table, table=True):
    """An alert that is still to be told, in the order of `number`; gone when it is."""

    number: int = Field(primary_key=True)
    payload: str
