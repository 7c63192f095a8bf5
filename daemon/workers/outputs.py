"""From what a function returned, or a file held, to an artifact that nobody reads yet."""

import contextlib
import os
from collections.abc import Callable
from typing import Any, cast

import pyarrow as pa
from blake3 import blake3

from afresh.assets.errors import ArtifactError, InvalidData
from afresh.assets.frames import library_of, to_table
from afresh.assets.manifest import Given, Schema
from afresh.assets.schema import validate
from afresh.daemon.workers.task import Rejected, Target, Task, Written
from afresh.daemon.workers.wire import Plan
from afresh.storage.artifacts.files import verify
from afresh.storage.artifacts.paths import artifact_uri
from afresh.storage.artifacts.store import Stored, write_table
from afresh.storage.content import hash_table

_SHAPES = {
    "pandas": "a pandas.DataFrame",
    "polars": "a polars.DataFrame",
    "polars_lazy": "a polars.LazyFrame",
    "pyarrow": "a pyarrow.Table",
}


def rejected_uri(plan: Plan, task: Task, asset: str) -> str:
    """Say where rejected data of a run is kept."""
    base = os.path.join(plan.state_dir, "rejected")  # noqa: PTH118 - a URI, too
    return artifact_uri(base, asset, task.partition, task.run, asset)


def settle(
    data: Any,
    live: object | None,
    given: Given,
    schema: Schema | None,
    target: Target,
    *,
    known: str,
    rejected: str,
    metadata: dict[str, str],
    skip_empty: bool = False,
    kept: tuple[str, str] | None = None,
    reference: Stored | None = None,
    begin: Callable[[], None] = lambda: None,
) -> Written | Rejected:
    """Validate, hash and write one output. What is invalid is kept at `rejected`, if it can be.

    `begin` is called before anything is written. With `skip_empty` a table without rows is not.
    What is known is written again if `kept`, the uri and hash of what has it, is damaged.
    With `reference` the original is the version's data, and nothing is written.
    """
    try:
        if given == "object":  # nothing was announced: it is taken as what it is
            given = _found_shape(data)
        if live is None:
            _check_shape(data, given)
            valid = data
        else:
            valid = validate(data, live, given)
        table = to_table(valid)
        content = hash_table(table)
        if reference is not None:
            content = content._replace(fingerprint=_referring(content.fingerprint, reference.hash))
        # Early cutoff (P4): what exists already is not written again.
        begin()
        same = content.fingerprint == known and (kept is None or _is_intact(*kept))
        same = same or (skip_empty and not table.num_rows)
        stored = Stored("", 0, "") if same else reference or write_table(table, target.uri)
    except InvalidData as error:
        begin()
        put_aside = _keep(data, rejected)
        return Rejected(target.asset, error.error, error.hint, error.cases, error.total, put_aside)
    return Written(
        *(target.asset, stored.uri, content.fingerprint, content.columns, table.num_rows),
        bytes=stored.bytes,
        hash=stored.hash,
        schema_version=schema.version if schema is not None else "",
        metadata=metadata,
    )


def _referring(fingerprint: str, digest: str) -> str:
    """The fingerprint of a version whose data is the original.

    Other bytes are another version though the columns be equal: readers compare the bytes.
    """
    return blake3(f"reference-1 {fingerprint} {digest}".encode()).hexdigest()[: len(fingerprint)]


def _found_shape(data: Any) -> Given:
    found = library_of(data)
    if not found:
        raise _no_such_shape(data, "a frame", "return a pandas or polars frame, or a pyarrow.Table")
    return cast("Given", found)


def _check_shape(data: Any, given: Given) -> None:
    if library_of(data) != given:
        hint = "return what the annotation says, or change the annotation"
        raise _no_such_shape(data, _SHAPES.get(given, "a frame"), hint)


def _no_such_shape(data: Any, expected: str, hint: str) -> InvalidData:
    name = "None" if data is None else f"{type(data).__module__}.{type(data).__qualname__}"
    return InvalidData(f"Expected {expected}, found {name}", hint=hint)


def _is_intact(uri: str, digest: str) -> bool:
    try:
        verify(uri, digest)
    except ArtifactError:
        return False
    return True


def _keep(data: Any, uri: str) -> str:
    """Write what was rejected, to be looked at; "" when it is nothing that can be written."""
    if not library_of(data):
        return ""
    with contextlib.suppress(Exception):
        table = data if isinstance(data, pa.Table) else to_table(data)
        os.makedirs(os.path.dirname(uri), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
        return write_table(table, uri).uri
    return ""
