"""Read an arrived file or object into its unit: by its schema's types, validated and hashed."""

from collections.abc import Callable

import msgspec

from afresh.assets.errors import UnreadableData, UsageError, VanishedData
from afresh.assets.manifest import Source
from afresh.daemon.workers.ingest_stream import ingest_stream
from afresh.daemon.workers.live import Loaded
from afresh.daemon.workers.originals import (
    Original,
    lines_of_rows,
    read_original,
    with_keys,
)
from afresh.daemon.workers.outputs import rejected_uri, settle
from afresh.daemon.workers.task import Failed, Rejected, Result, Task
from afresh.daemon.workers.wire import Plan
from afresh.sensors.base import ObjectIdentity
from afresh.storage.artifacts.store import Stored
from afresh.storage.formats.base import with_line
from afresh.storage.formats.source_file import show_path
from afresh.storage.references import reference_uri


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
        read = read_original(task.path, source, schema, plan.project)
    except VanishedData as error:
        return Result(task.run, failed=Failed("vanished", error.error, error.hint))
    except UsageError as error:
        # The declaration does not fit the format: as unreadable, until one of them changes.
        raise UnreadableData(error.error, hint=error.hint, where=show_path(task.path)) from error
    target = task.targets[0]
    referred = source.keep == "reference"
    output = settle(
        with_keys(read.table, source, task.partition),
        live.schema,
        "pyarrow",
        schema,
        target,
        known=task.known.get(target.asset, ""),
        kept=None if referred else task.kept.get(target.asset),
        rejected=rejected_uri(plan, task, target.asset),
        metadata={},
        reference=_reference(read) if referred else None,
        begin=begin,
    )
    if isinstance(output, Rejected):
        output = _placed(output, task.path, source, read)
    result = Result(task.run, (output,), source_hash=read.hash)
    if isinstance(read.identity, ObjectIdentity):
        return msgspec.structs.replace(result, object_identity=read.identity)
    return msgspec.structs.replace(result, identity=read.identity)


def _placed(output: Rejected, path: str, source: Source, read: Original) -> Rejected:
    """Name the file, and of each failure case the line of it as far as known."""
    rows = {int(case["row"]) for case in output.cases if case.get("row")}
    lines = lines_of_rows(path, source, read, rows)
    cases = tuple(
        {**case, "line": str(lines[int(case["row"])])}
        if case.get("row") and int(case["row"]) in lines
        else case
        for case in output.cases
    )
    error = output.error
    if cases and cases[0].get("row"):
        error = with_line(error, int(cases[0]["row"]), lines)
    return msgspec.structs.replace(output, error=error, cases=cases, where=show_path(path))


def _reference(read: Original) -> Stored:
    """The original itself as what is stored."""
    return Stored(reference_uri(read.url, read.version), read.bytes, read.hash)
