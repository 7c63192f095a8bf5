"""A task's work in its worker: read a file into a source's unit, call a function, or validate.

Nothing is raised for what user code or data does: it is in the result.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pyarrow as pa

from afresh.assets.context import Context, Partition
from afresh.assets.errors import InvalidData, UsageError
from afresh.assets.manifest import Manifest
from afresh.daemon.reference_bytes import find_source
from afresh.daemon.workers.failures import failure
from afresh.daemon.workers.ingest import ingest
from afresh.daemon.workers.inputs import read_inputs
from afresh.daemon.workers.live import LiveFunction, Loaded
from afresh.daemon.workers.merging import merge_segments
from afresh.daemon.workers.originals import read_reference
from afresh.daemon.workers.outputs import rejected_uri, settle
from afresh.daemon.workers.revalidate import revalidate
from afresh.daemon.workers.task import Part, Rejected, Result, Target, Task, Written
from afresh.daemon.workers.wire import Plan
from afresh.daemon.workers.writes import watching
from afresh.sensors.depth import VARIABLE as DEPTH
from afresh.storage.references import Reference


def execute(
    task: Task, loaded: Loaded, plan: Plan, begin: Callable[[], None] = lambda: None
) -> tuple[Result, str]:
    """Do a task; give what came of it and why this process must do no other ("": it may).

    `begin` is called, perhaps more than once, before anything that leaves a trace.
    """
    try:
        if task.kind == "merge":
            begin()
            return Result(task.run, merged=merge_segments(task.merges)), ""
        if task.kind == "ingest":
            return ingest(task, loaded, plan, begin), ""
        if task.kind == "validate":
            return revalidate(task, loaded, partial(_read_original, loaded)), ""
        with watching(_has_files(loaded.manifest)) as wrote:
            outputs = tuple(_run(task, loaded, plan, begin))
        merged = merge_segments(task.merges)
        return Result(task.run, outputs, merged=merged, wrote=_outside(wrote, plan)), ""
    except BaseException as error:  # noqa: BLE001 - user code raises what it likes
        failed, retire = failure(error, os.path.realpath(plan.snapshot), plan.project)
        return Result(task.run, failed=failed), retire


def _run(
    task: Task, loaded: Loaded, plan: Plan, begin: Callable[[], None]
) -> list[Written | Rejected]:
    function = loaded.functions.get(task.name)
    if function is None:
        raise UsageError(
            f"Expected asset {task.name!r} in the definitions that are loaded, found that its "
            "module did not import",
            hint="`afresh check` says why",
        )
    facts = _facts(loaded.manifest)
    original = partial(_read_original, loaded)
    arguments = read_inputs(function, task.inputs, loaded.manifest, facts.made_by, original)
    arguments.update(function.parameters)
    context = _special(task, function, facts, arguments)
    begin()
    # Of `afresh emit`, should the function call it. Hygiene removes it.
    os.environ[DEPTH] = str(task.depth)
    returned = _call(function.callable, arguments)
    # Inputs are freed before outputs are validated and written.
    arguments.clear()
    values = _by_output(function, returned)
    return [
        _settle(
            task,
            target,
            values[target.asset],
            function=function,
            manifest=loaded.manifest,
            plan=plan,
            context=context,
        )
        for target in task.targets
    ]


def _call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call it. A child that it forks and that comes back ends here: it has no task of its own."""
    process = os.getpid()
    try:
        returned = function(**arguments)
    except BaseException as error:
        if os.getpid() != process:
            _end_child(error)
        raise
    if os.getpid() != process:
        _end_child(None)
    return returned


def _end_child(error: BaseException | None) -> NoReturn:
    """End as Python would, but for what else the worker has open."""
    code = int(error is not None)
    try:
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            traceback.print_exception(error)
        sys.stdout.flush()
    finally:
        os._exit(code & 0xFF)


def _has_files(manifest: Manifest) -> bool:
    """Whether something that a function writes can come back to it."""
    return any(source.sensor.kind in ("file", "bucket") for source in manifest.sources)


def _outside(wrote: set[str], plan: Plan) -> tuple[str, ...]:
    """Leave out our own, artifacts and the like in the state folder, and what is no text."""
    state = f"{Path(plan.snapshot).resolve().parent.parent}{os.sep}"
    return tuple(sorted(p for p in wrote if not p.startswith(state) and _is_text(p)))


def _is_text(path: str) -> bool:
    return path.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in path)


def _read_original(loaded: Loaded, asset: str, part: Part, ref: Reference) -> pa.Table:
    """Read what a source refers to, as the source says by now."""
    source = find_source(loaded.manifest.sources, asset, ref)
    live = loaded.sources.get(asset)
    return read_reference(
        ref,
        part.hash,
        source,
        loaded.manifest.schemas.get(source.schema),
        live.schema if live is not None else None,
        partition=part.partition,
    )


def _settle(
    task: Task,
    target: Target,
    value: Any,
    *,
    function: LiveFunction,
    manifest: Manifest,
    plan: Plan,
    context: Context,
) -> Written | Rejected:
    output = next(o for o in function.declaration.outputs if o.asset == target.asset)
    settled = settle(
        value,
        function.outputs.get(target.asset),
        output.given,
        manifest.schemas.get(output.schema),
        target,
        # What is appended is never what is there already.
        known="" if task.appends else task.known.get(target.asset, ""),
        skip_empty=task.appends and target.asset in task.known,
        kept=task.kept.get(target.asset),
        rejected=rejected_uri(plan, task, target.asset),
        metadata=_metadata(context),
    )
    where = function.declaration.where
    if isinstance(settled, Rejected) and where is not None:
        made_by = f"returned by {getattr(function.callable, '__name__', task.name)}(), {where}"
        hint = f"{settled.hint} ({made_by})" if settled.hint else made_by
        return msgspec.structs.replace(settled, hint=hint)
    return settled


def _metadata(context: Context) -> dict[str, str]:
    """What the function said of its version; it may have put in other values than text."""
    said: Mapping[Any, Any] = context.metadata
    return {
        str(name): value if isinstance(value, str) else json.dumps(value)
        for name, value in said.items()
    }


def _special(
    task: Task, function: LiveFunction, facts: "_Facts", arguments: dict[str, Any]
) -> Context:
    """Add the values that are no data; give the run's context, asked for or not."""
    partition = Partition(task.partition, facts.captures(function.declaration.name))
    context = Context(
        run=task.run,
        partition=partition,
        events=task.events,
        attempt=task.attempt,
        depth=task.depth,
    )
    special = function.declaration.special
    if "partition" in special:
        arguments[special["partition"]] = partition
    if "context" in special:
        arguments[special["context"]] = context
    return context


def _by_output(function: LiveFunction, returned: Any) -> Mapping[str, Any]:
    """Assign what was returned to the declared outputs: one value, a tuple, or a dict."""
    names = [output.asset for output in function.declaration.outputs]
    if len(names) == 1 and not isinstance(returned, dict):
        return {names[0]: returned}
    if isinstance(returned, Mapping) and set(returned) == set(names):
        return returned
    if isinstance(returned, tuple | list) and len(returned) == len(names):
        return dict(zip(names, returned, strict=True))
    if len(names) == 1:
        raise InvalidData(
            f"Expected a frame for {names[0]!r}, found {_found(returned)}",
            hint=f"return a frame, or a dict with the key {names[0]!r}",
        )
    raise InvalidData(
        f"Expected {len(names)} outputs, {', '.join(names)}, found {_found(returned)}",
        hint="return a tuple in this order, or a dict with these keys",
    )


def _found(returned: Any) -> str:
    if isinstance(returned, Mapping):
        return f"a dict with {', '.join(map(str, returned)) or 'no keys'}"
    if isinstance(returned, Sequence) and not isinstance(returned, str):
        return f"{len(returned)} values"
    return type(returned).__name__


class _Facts:
    """What follows from a manifest and is asked for by each task."""

    def __init__(self, manifest: Manifest) -> None:
        self._sources = {source.name: source for source in manifest.sources}
        self._functions = {o.asset: f for f in manifest.functions for o in f.outputs}
        self.made_by = {source.name: source.schema for source in manifest.sources}
        self.made_by |= {o.asset: o.schema for f in manifest.functions for o in f.outputs}

    def captures(self, asset: str) -> tuple[str, ...]:
        """Name the parts of an asset's keys: those of the source that its keys come from."""
        for _ in range(len(self._functions) + 1):
            if asset in self._sources:
                return self._sources[asset].captures
            function = self._functions.get(asset)
            if function is None or not function.partitions:
                break
            asset = function.partitions[0]
        return ()


_known: dict[int, tuple[Manifest, _Facts]] = {}


def _facts(manifest: Manifest) -> _Facts:
    """Work it out once for a generation; a worker has only one."""
    found = _known.get(id(manifest))
    if found is None or found[0] is not manifest:
        _known.clear()
        found = _known[id(manifest)] = (manifest, _Facts(manifest))
    return found[1]
