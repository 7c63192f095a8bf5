"""Append batches of records to a stream: decoded and validated at once, the bad ones put aside.

A record is published as a whole or not at all. What cannot be decoded or breaks the schema becomes
a dead letter with its place and the reason; the others do not wait for it.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from afresh.assets.errors import InvalidData, UnreadableData, UsageError
from afresh.assets.manifest import Manifest, Schema, Source
from afresh.assets.schema import read_types, validate_rows
from afresh.daemon.workers.live import LiveSource
from afresh.daemon.workers.merging import merge_segments
from afresh.daemon.workers.record_columns import add_columns
from afresh.daemon.workers.task import DeadRecord, RecordBatch, Result, Task, Written
from afresh.daemon.workers.tombstones import are_rows, with_tombstones
from afresh.sensors.records import Record, decode_records, encode_records
from afresh.storage.artifacts.store import write_table
from afresh.storage.content import hash_table
from afresh.storage.formats.messages.base import Wanted
from afresh.storage.formats.messages.registry import message_format

_encode = msgspec.json.Encoder().encode
_TOMBSTONE = "Expected a value, found none (a tombstone)"
_NO_FIELDS = "Expected an object with fields, found {}, and no schema that says which"


def ingest_stream(
    task: Task, live: LiveSource, manifest: Manifest, begin: Callable[[], None]
) -> Result:
    """Do an ingest of a stream; `begin` is called before anything is written.

    Raises UnreadableData for batches that are not there or not records, and whatever a format
    raises where no single record is to blame.
    """
    source = live.declaration
    schema = manifest.schemas.get(source.schema)
    batches = [_load(batch) for batch in task.batches]
    records = [record for batch in batches for record in batch]
    table, rows, dead = _decode(records, source, schema)
    if table is not None and live.schema is not None:
        table, rows = _validate(table, rows, live.schema, schema, dead)
    begin()
    outputs: tuple[Written, ...] = ()
    if table is not None and table.num_rows:
        outputs = (_write(table, task, schema),)
    starts = list(accumulate(map(len, batches), initial=0))
    return Result(
        task.run,
        outputs,
        dead=tuple(_letters(task.batches, records, starts, dead)),
        emptied=_emptied(task.batches, starts, dead),
        merged=merge_segments(task.merges),
    )


def _load(batch: RecordBatch) -> list[Record]:
    data = batch.payload
    try:
        if batch.staged:
            data = Path(batch.staged).read_bytes()
        return decode_records(data) if data else []
    except (OSError, msgspec.DecodeError) as error:
        raise UnreadableData(
            f"Expected the records of event {batch.seq}, found: {error}",
            hint="what is staged below the state folder must stay until it is read",
            where=batch.staged,
        ) from error


def _decode(
    records: Sequence[Record], source: Source, schema: Schema | None
) -> tuple[pa.Table | None, Sequence[int], dict[int, str]]:
    """The records as a table, of each row its record, and the records that cannot be decoded."""
    dead: dict[int, str] = {}
    values = [record.value for record in records]
    places: Sequence[int] = range(len(values))
    gone: list[int] = []
    if None in values:
        gone = [place for place in places if values[place] is None]
        places = [place for place in places if values[place] is not None]
    present = [value for value in values if value is not None]
    if not present and not (gone and are_rows(source.options)):
        return None, [], dict.fromkeys(gone, _TOMBSTONE)
    kind = message_format(source.format or "json")
    try:
        decoded = kind.decode(present, _wanted(schema), source.options)
    except UsageError as error:
        # The declaration does not fit the format: as unreadable, until one of them changes.
        raise UnreadableData(error.error, hint=error.hint) from error
    dead |= {places[index]: reason for index, reason in decoded.bad.items()}
    sources = decoded.sources
    if sources is None:
        sources = [index for index in range(len(present)) if index not in decoded.bad]
    table, rows = decoded.table, [places[index] for index in sources]
    if gone and are_rows(source.options) and table.column_names:
        table, rows = with_tombstones(table, rows, gone)
    else:
        dead |= dict.fromkeys(gone, _TOMBSTONE)
    if not table.num_rows:
        return None, [], dead
    columns = str(source.options.get("columns") or "")
    types = read_types(schema) if schema is not None else {}
    table, wrong = add_columns(table, records, rows, columns, types)
    if wrong:
        dead |= {rows[row]: reason for row, reason in wrong.items()}
        table, rows = _without(table, rows, dead)
    if table is not None and not table.column_names:
        # A version without columns could be given to nobody.
        return None, [], dead | dict.fromkeys(rows, _NO_FIELDS)
    return table, rows, dead


def _without(
    table: pa.Table, rows: Sequence[int], dead: Collection[int]
) -> tuple[pa.Table | None, list[int]]:
    """Leave the rows of records that are not dead; no table if there are none."""
    kept = [row for row, record in enumerate(rows) if record not in dead]
    return (table.take(kept) if kept else None), [rows[row] for row in kept]


def _wanted(schema: Schema | None) -> Wanted:
    """With a schema its columns are taken, and others only where it cannot tell their types."""
    if schema is None:
        return Wanted()
    types = read_types(schema)
    others: Literal["keep", "ignore", "refuse"] = "ignore"
    if any(column.regex or column.name not in types for column in schema.columns):
        others = "keep"
    elif schema.strict == "strict":
        others = "refuse"
    return Wanted(types, others, schema)


def _validate(
    table: pa.Table,
    rows: Sequence[int],
    declared: object,
    schema: Schema | None,
    dead: dict[int, str],
) -> tuple[pa.Table | None, Sequence[int]]:
    """Leave the records that the schema accepts; `dead` gets the others."""
    table = _without_absent(table, schema)
    wrong = _absent(table, schema)
    while True:
        if wrong:
            dead |= {rows[row]: reason for row, reason in reversed(wrong.items())}
            table, rows = _without(table, rows, dead)
            if table is None:
                return None, []
        try:
            valid, wrong = validate_rows(table, declared)
        except InvalidData as error:
            dead |= dict.fromkeys(rows, error.error)
            return None, []
        if valid is not None:
            return valid, rows


def _without_absent(table: pa.Table, schema: Schema | None) -> pa.Table:
    """Leave out columns that need not be there and that no record has."""
    optional = {column.name for column in schema.columns if not column.required} if schema else ()
    absent = [
        name
        for name in table.column_names
        if name in optional and table.column(name).null_count == table.num_rows
    ]
    return table.drop_columns(absent) if absent else table


def _absent(table: pa.Table, schema: Schema | None) -> dict[int, str]:
    """Rows without a value that the schema demands: of integers it would blame the column."""
    wrong: dict[int, str] = {}
    for column in schema.columns if schema is not None else ():
        if column.nullable or column.regex or column.name not in table.column_names:
            continue
        values = table.column(column.name)
        if values.null_count:
            missing = pc.indices_nonzero(pc.is_null(values)).to_pylist()
            reason = f"Expected a value in column {column.name!r}, found none"
            wrong = dict.fromkeys(missing, reason) | wrong
    return wrong


def _write(table: pa.Table, task: Task, schema: Schema | None) -> Written:
    target = task.targets[0]
    table = table.combine_chunks()
    content = hash_table(table)
    stored = write_table(table, target.uri)
    return Written(
        *(target.asset, stored.uri, content.fingerprint, content.columns, table.num_rows),
        bytes=stored.bytes,
        hash=stored.hash,
        schema_version=schema.version if schema is not None else "",
    )


def _letters(
    batches: Sequence[RecordBatch],
    records: Sequence[Record],
    starts: Sequence[int],
    dead: dict[int, str],
) -> Iterable[DeadRecord]:
    for place in sorted(dead):
        index = bisect_right(starts, place) - 1
        batch, record = batches[index], records[place]
        where: dict[str, str | int] = {"uri": batch.uri}
        if record.offset >= 0:
            where |= {"channel": record.channel, "offset": record.offset}
        yield DeadRecord(
            batch.seq,
            place - starts[index],
            _encode(where).decode(),
            dead[place],
            encode_records([record]),
        )


def _emptied(
    batches: Sequence[RecordBatch], starts: Sequence[int], dead: dict[int, str]
) -> tuple[int, ...]:
    """The events of which every record is dead."""
    if not dead:
        return ()
    return tuple(
        batch.seq
        for batch, start, end in zip(batches, starts[:-1], starts[1:], strict=True)
        if end > start and all(place in dead for place in range(start, end))
    )
