"""Load a generation's definitions from a snapshot: the manifest, and what is alive of it.

Runs in a worker or generation server, never in the daemon: it imports what people wrote. Whatever
is wrong is told at once, in `manifest.problems`. A problem that names a `module` is of a module
that does not import: the rest is in force. Any other problem refuses the generation.
"""

import gc
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os.path import join, realpath
from typing import Any

import msgspec

from afresh.assets.declare import FunctionDeclaration, Registry, SourceDeclaration
from afresh.assets.graph import Graph
from afresh.assets.manifest import Function, Manifest, Problem, Source, Where
from afresh.daemon.config import FILE, PYPROJECT, line_of
from afresh.daemon.workers import checks, options
from afresh.daemon.workers.build import Builder
from afresh.daemon.workers.catalog import Catalog
from afresh.daemon.workers.live import Loaded
from afresh.daemon.workers.modules import import_modules, relative
from afresh.daemon.workers.parameters import unknown_tables

_RECORDED = ("pandas", "numpy", "pyarrow", "polars", "pandera", "pydantic")


def load(
    root: str,
    modules: Sequence[str],
    parameters: Mapping[str, Any],
    digest: str,
    *,
    last_good: Manifest | None = None,
) -> Loaded:
    """Import `modules` from the snapshot at `root`; nothing is raised for what people wrote.

    `parameters` are the settings' tables by asset. Assets of a module that does not import stay as
    they are in `last_good`: in the manifest, but not alive.
    """
    with _uncollected():
        return _load(realpath(root), modules, parameters, digest, last_good)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile: nearly all that is made stays, and walking it adds up."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _load(
    root: str,
    modules: Sequence[str],
    parameters: Mapping[str, Any],
    digest: str,
    last_good: Manifest | None,
) -> Loaded:
    registry, failed = import_modules(root, modules)
    names = _Names(registry, root)
    kept = list(_kept(last_good, failed, names.places))
    known = frozenset(names.places).union(*(_assets(part) for part in kept))
    builder = Builder(root, known, names.by_object, Catalog(root))
    found = (builder.source(d) for d in names.sources)
    sources = {live.declaration.name: live for live in found if live is not None}
    built = (builder.function(d, name, _table(parameters, name)) for d, name in names.functions)
    functions = {live.declaration.name: live for live in built if live is not None}
    manifest = Manifest(
        digest=digest,
        sources=tuple(live.declaration for live in sources.values()),
        functions=tuple(live.declaration for live in functions.values()),
        schemas=builder.catalog.schemas,
        distributions=_distributions(),
    )
    manifest = _with_kept(manifest, kept, last_good, builder.catalog)
    problems = [*failed, *names.problems, *builder.problems]
    problems += _unknown_parameters(parameters, manifest, root, failed)
    manifest, waiting = _without_unknown(manifest, known, failed)
    problems += waiting
    graph = Graph(manifest)
    problems += [
        *checks.cycles(graph),
        *checks.partitions(graph),
        *checks.streams(manifest, graph),
        *checks.paths(manifest),
        *checks.contracts(manifest, graph),
    ]
    present = {function.name for function in manifest.functions}
    return Loaded(
        manifest=msgspec.structs.replace(manifest, problems=_ordered(problems)),
        functions={name: live for name, live in functions.items() if name in present},
        sources=sources,
    )


class _Names:
    """The names that the declarations give, each to the first that has it."""

    def __init__(self, registry: Registry, root: str) -> None:
        self.places: dict[str, list[Where]] = {}
        self.by_object: dict[int, str] = {}
        self.problems: list[Problem] = []
        self.sources: list[SourceDeclaration] = []
        self.functions: list[tuple[FunctionDeclaration, str]] = []
        self.root = root
        for source in registry.sources:
            if self._take([source.name], source):
                self.sources.append(source)
        for declaration in registry.functions:
            outputs = _output_names(declaration)
            if declaration.name and declaration.outputs is not None:
                self._problem(
                    declaration,
                    ("Expected name= or outputs=, found both", "outputs= names the assets"),
                )
            if self._take(outputs, declaration):
                self.functions.append((declaration, outputs[0]))
                self.by_object[id(declaration.function)] = outputs[0]
        self.problems += checks.duplicates(self.places)

    def _take(self, names: list[str], declaration: SourceDeclaration | FunctionDeclaration) -> bool:
        """Note the names; False when the declaration cannot stand."""
        wrong = [problem for name in names if (problem := options.name_problem(name))]
        for problem in wrong:
            self._problem(declaration, problem)
        if wrong:
            return False
        where = Where(relative(declaration.file, self.root), declaration.line)
        first = [self.places.setdefault(name, []) for name in names]
        free = not any(first)
        for places in first:
            places.append(where)
        return free

    def _problem(
        self, declaration: SourceDeclaration | FunctionDeclaration, problem: tuple[str, str]
    ) -> None:
        where = Where(relative(declaration.file, self.root), declaration.line)
        error, hint = problem
        self.problems.append(Problem(error=error, hint=hint, where=where))


def _output_names(declaration: FunctionDeclaration) -> list[str]:
    outputs = declaration.outputs
    if outputs and not isinstance(outputs, str) and isinstance(outputs, Mapping | list | tuple):
        return list(outputs)
    return [declaration.name or getattr(declaration.function, "__name__", "")]


def _table(parameters: Mapping[str, Any], asset: str) -> Mapping[str, Any]:
    table: Mapping[str, Any] = parameters.get(asset, {})
    return table


def _unknown_parameters(
    parameters: Mapping[str, Any], manifest: Manifest, root: str, failed: Sequence[Problem]
) -> Iterator[Problem]:
    """Find tables of parameters that no function takes; a failed module's might be meant."""
    if failed:
        return
    file, text = _settings(root)
    for name, hint in unknown_tables(parameters, [f.name for f in manifest.functions]):
        yield Problem(
            error=f"Expected a function's first asset in [parameters.*], found {name!r}",
            hint=hint,
            where=Where(file, line_of(text, f"parameters.{name}")),
        )


def _settings(root: str) -> tuple[str, str]:
    for file in (FILE, PYPROJECT):
        try:
            with open(join(root, file), encoding="utf-8") as settings:  # noqa: PTH118, PTH123
                return file, settings.read()
        except OSError:
            continue
    return FILE, ""


def _assets(part: Source | Function) -> list[str]:
    if isinstance(part, Source):
        return [part.name]
    return [output.asset for output in part.outputs]


def _kept(
    last_good: Manifest | None, failed: Sequence[Problem], declared: Iterable[str]
) -> Iterator[Source | Function]:
    """Give what failed modules declared when they last imported, and nothing declares now."""
    if last_good is None or not failed:
        return
    taken = set(declared)
    files = set()
    for problem in failed:
        path = problem.module.replace(".", "/")
        files |= {f"{path}.py", f"{path}/__init__.py"}
    parts: list[Source | Function] = [*last_good.sources, *last_good.functions]
    for part in parts:
        if part.where is not None and part.where.file in files and taken.isdisjoint(_assets(part)):
            yield part


def _with_kept(
    manifest: Manifest,
    kept: Sequence[Source | Function],
    last_good: Manifest | None,
    catalog: Catalog,
) -> Manifest:
    """Add the kept declarations, their schemas under keys of this manifest."""
    if last_good is None or not kept:
        return manifest
    old = last_good.schemas

    def renamed(part: Any) -> Any:
        key = catalog.adopt(old[part.schema]) if part.schema in old else ""
        return msgspec.structs.replace(part, schema=key)

    sources = [renamed(part) for part in kept if isinstance(part, Source)]
    functions = [
        msgspec.structs.replace(
            part,
            inputs=tuple(map(renamed, part.inputs)),
            outputs=tuple(map(renamed, part.outputs)),
        )
        for part in kept
        if isinstance(part, Function)
    ]
    return msgspec.structs.replace(
        manifest,
        kept=tuple(part.name for part in kept),
        sources=(*manifest.sources, *sources),
        functions=(*manifest.functions, *functions),
        schemas=catalog.schemas,
    )


def _without_unknown(
    manifest: Manifest, names: frozenset[str], failed: Sequence[Problem]
) -> tuple[Manifest, list[Problem]]:
    """Find dependencies on nothing. A module that failed may hold them: what needs it waits."""
    problems = []
    while found := list(checks.unknown(manifest, names)):
        if not failed:
            return manifest, [problem for _, problem in found]
        modules = ", ".join(problem.module for problem in failed)
        problems += [
            msgspec.structs.replace(
                problem,
                hint=f"{_near(problem)}{modules} did not import and may declare it",
                module=failed[0].module,
            )
            for _, problem in found
        ]
        waiting = {function.name for function, _ in found}
        left = [f for f in manifest.functions if f.name not in waiting]
        gone = {o.asset for f in manifest.functions if f.name in waiting for o in f.outputs}
        names -= gone
        manifest = msgspec.structs.replace(manifest, functions=tuple(left))
    return manifest, problems


def _near(problem: Problem) -> str:
    return f"{problem.hint} " if problem.hint.startswith("did you mean") else ""


def _distributions() -> dict[str, str]:
    """Record the data libraries that are loaded: lineage names them, they make nothing stale."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _RECORDED:
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


def _ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    def place(problem: Problem) -> tuple[bool, str, int]:
        where = problem.where
        return (where is None, where.file if where else "", where.line if where else 0)

    return tuple(sorted(dict.fromkeys(problems), key=place))
