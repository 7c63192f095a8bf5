"""Stored data held against the schema that its asset has by now: what is there is not changed."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from afresh.assets.errors import (
    AfreshError,
    ArtifactError,
    DataError,
    InvalidData,
    StorageUnavailable,
)
from afresh.assets.schema import validate
from afresh.daemon.workers.failures import line_of
from afresh.daemon.workers.live import Loaded
from afresh.daemon.workers.task import Failed, Part, Result, Task, Verdict
from afresh.storage.artifacts.store import read_table
from afresh.storage.references import Reference, parse_reference

Original = Callable[[str, Part, Reference], pa.Table]


def revalidate(task: Task, loaded: Loaded, original: Original) -> Result:
    """Give a verdict on each part of the task's one input.

    `original` reads a part whose data is a source's own file or object. The result is failed where
    the schema is not loaded here. Raises StorageUnavailable.
    """
    found = _schema(task.name, loaded)
    if found is None:
        error = f"Expected the schema of {task.name!r} in the definitions, found none loaded"
        return Result(task.run, failed=Failed("internal", error))
    return Result(task.run, verdicts=tuple(_verdicts(task, *found, original)))


def _schema(asset: str, loaded: Loaded) -> tuple[Any, str] | None:
    """The live schema of an asset, and its version."""
    live, name = None, ""
    if asset in loaded.sources:
        source = loaded.sources[asset]
        live, name = source.schema, source.declaration.schema
    for function in loaded.functions.values():
        for output in function.declaration.outputs:
            if output.asset == asset:
                live, name = function.outputs.get(asset), output.schema
    described = loaded.manifest.schemas.get(name)
    return None if live is None or described is None else (live, described.version)


def _verdicts(task: Task, live: Any, version: str, original: Original) -> Iterator[Verdict]:
    for item in task.inputs:
        for part in item.parts:
            yield _verdict(item.asset, part, live, version, original)


def _verdict(asset: str, part: Part, live: Any, version: str, original: Original) -> Verdict:
    try:
        reference = parse_reference(part.uri)
        if reference is None:
            validate(read_table(part.uri, None, part.hash), live, "pyarrow")
        else:
            # What is read is validated as well: it is decoded anew.
            original(asset, part, reference)
    except InvalidData as error:
        return Verdict("suspect", version, error.error, error.cases, error.total)
    except StorageUnavailable:
        raise
    except (ArtifactError, DataError) as error:
        return Verdict("unread", version, error.error)
    except (AfreshError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - a parser of the project's own raises what it likes
        return Verdict("suspect", version, f"its schema raised {line_of(error)}", (), 1)
    return Verdict("ok", version)
