"""Import definition modules from a snapshot: every one that can be, never from cached bytecode."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.abc import PathEntryFinder
from importlib.machinery import FileFinder, SourceFileLoader
from types import TracebackType

from afresh.assets.declare import Registry, collecting
from afresh.assets.manifest import Problem, Where

_roots: list[str] = []


class _FreshLoader(SourceFileLoader):
    """Compiles each time: bytecode of an equal time and size may be of other code."""

    def path_stats(self, path: str) -> dict[str, float]:
        """Refuse, which is how a source loader is told to neither read nor write bytecode."""
        raise OSError(path)


def import_modules(root: str, modules: Sequence[str]) -> tuple[Registry, list[Problem]]:
    """Import modules with `root` first on the path; give what they declare, and those that failed.

    What a failed module declared before it failed is left out. Each problem names its module.
    """
    _prepare(root)
    problems = []
    with collecting() as registry:
        for name in modules:
            problem = _import(root, name)
            if problem is not None:
                problems.append(problem)
    registry.functions = [d for d in registry.functions if d.module in sys.modules]
    registry.sources = [d for d in registry.sources if d.module in sys.modules]
    return registry, problems


def relative(file: str, root: str) -> str:
    """Give the path as people know it: relative to the project where it is of the project."""
    return file[len(root) + 1 :] if file.startswith(root + os.sep) else file


def last_place(trace: TracebackType | None, root: str) -> Where | None:
    """Find the last line of the project in a traceback."""
    for frame in reversed(traceback.extract_tb(trace)):
        if frame.filename.startswith(root + os.sep):
            return Where(relative(frame.filename, root), frame.lineno or 1)
    return None


def _prepare(root: str) -> None:
    """Put the snapshot first, and forget what an earlier one brought."""
    sys.dont_write_bytecode = True
    for name, module in list(sys.modules.items()):
        if any(_is_of(module, old) for old in _roots):
            del sys.modules[name]
    sys.path[:] = [root, *(entry for entry in sys.path if entry not in _roots)]
    if not _roots:
        sys.path_hooks.insert(0, _hook)
    _roots[:] = [root]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()


def _is_of(module: object, root: str) -> bool:
    """Tell whether a module is from this folder, without waking what loads lazily."""
    known = getattr(module, "__dict__", {})
    file = known.get("__file__") or ""
    if not file and known.get("__path__"):
        file = next(iter(known["__path__"]), "")
    return isinstance(file, str) and file.startswith(root + os.sep)


def _hook(path: str) -> PathEntryFinder:
    if not any(path == root or path.startswith(root + os.sep) for root in _roots):
        raise ImportError(path)
    return FileFinder(path, (_FreshLoader, [".py"]))


def _import(root: str, name: str) -> Problem | None:
    known = sys.modules.get(name)
    if known is not None and not _is_of(known, root):
        return Problem(
            error=f"Expected a module of the project, found the installed module {name!r}",
            hint="give the file another name, in `definitions` too",
            module=name,
        )
    importer: Callable[[str], object] = importlib.import_module
    try:
        module = importer(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever user code raises; a panic of polars too
        return _problem(root, name, error)
    if not _is_of(module, root):
        file = getattr(module, "__file__", None) or "no file"
        return Problem(
            error=f"Expected module {name!r} beside the settings, found {file}",
            hint="definitions are modules of the project; check the setting `definitions`",
            module=name,
        )
    return None


def _problem(root: str, name: str, error: BaseException) -> Problem:
    where = last_place(error.__traceback__, root)
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    hint = "its assets stay as they were until it imports"
    if isinstance(error, SyntaxError) and (error.filename or "").startswith(root + os.sep):
        where = Where(relative(error.filename or "", root), error.lineno or 1)
        message = f"{type(error).__name__}: {error.msg}"
    elif (
        isinstance(error, ModuleNotFoundError)
        and where is None
        and f"{name}.".startswith(f"{error.name}.")
    ):
        hint = f"write {name.replace('.', '/')}.py beside the settings, or correct `definitions`"
    elif isinstance(error, ModuleNotFoundError):
        hint = "install it where afresh runs, or correct the name; " + hint
    elif isinstance(error, SystemExit):
        hint = "a definition module must not end the process; " + hint
    return Problem(
        error=f"Expected to import {name!r}, found {message}",
        hint=hint,
        where=where,
        module=name,
    )
