"""Read an arrived file into its source's unit: by the schema's types, validated and hashed."""

import os
from collections.abc import Callable

import pyarrow as pa

from afresh.assets.errors import ChangedData, UnreadableData, UsageError, VanishedData
from afresh.assets.manifest import Schema, Source
from afresh.assets.partition import Pattern, decode_key
from afresh.assets.schema import read_types
from afresh.daemon.workers.ingest_stream import ingest_stream
from afresh.daemon.workers.live import Loaded
from afresh.daemon.workers.outputs import rejected_uri, settle
from afresh.daemon.workers.task import Failed, Result, Task
from afresh.daemon.workers.wire import Plan
from afresh.sensors.base import Identity
from afresh.storage.formats.source_file import SourceRead, read_source, show_path

_ATTEMPTS = 3


def ingest(task: Task, loaded: Loaded, plan: Plan, begin: Callable[[], None]) -> Result:
    """Do an ingest; `begin` is called before anything is written.

    Raises UnreadableData and whatever else is not the data's validity.
    """
    live = loaded.sources.get(task.name)
    if live is None:
        raise UsageError(
            f"Expected source {task.name!r} in the definitions that are loaded, found that its "
            "module did not import",
            hint="`afresh check` says why",
        )
    source = live.declaration
    if source.stream:
        return ingest_stream(task, live, loaded.manifest, begin)
    schema = loaded.manifest.schemas.get(source.schema)
    try:
        read = _read(task.path, source, schema, plan.project)
    except VanishedData as error:
        return Result(task.run, failed=Failed("vanished", error.error, error.hint))
    except UsageError as error:
        # The declaration does not fit the format: as unreadable, until one of them changes.
        raise UnreadableData(error.error, hint=error.hint, where=show_path(task.path)) from error
    table = _with_keys(read.table, source, task.partition) if source.key_columns else read.table
    target = task.targets[0]
    output = settle(
        table,
        live.schema,
        "pyarrow",
        schema,
        target,
        known=task.known.get(target.asset, ""),
        rejected=rejected_uri(plan, task, target.asset),
        metadata={},
        begin=begin,
    )
    return Result(task.run, (output,), source_hash=read.hash, identity=Identity(*read.identity))


def _read(path: str, source: Source, schema: Schema | None, project: str) -> SourceRead:
    """Read one whole state of the file, again while it is being replaced (SEMANTICS)."""
    pattern = source.sensor.options.get("pattern")
    root = Pattern.parse(pattern).root if isinstance(pattern, str) else ""
    inside = (project, os.path.join(project, root))  # noqa: PTH118
    types = read_types(schema) if schema is not None else {}
    by_pattern = schema is not None and any(column.regex for column in schema.columns)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            read = read_source(path, source.format, types, source.options, inside=inside)
            if schema is None or not by_pattern:
                return read
            # Which columns a pattern types is known by their names only.
            types = read_types(schema, read.table.column_names)
            return read_source(path, source.format, types, source.options, inside=inside)
        except ChangedData:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError


def _with_keys(table: pa.Table, source: Source, partition: str) -> pa.Table:
    """Add what the path captures as columns of strings; they replace columns of the same name."""
    for name, value in zip(source.captures, decode_key(partition), strict=True):
        column = pa.repeat(pa.scalar(value, pa.string()), table.num_rows)
        place = table.schema.get_field_index(name)
        if place < 0:
            table = table.append_column(name, column)
        else:
            table = table.set_column(place, name, column)
    return table
