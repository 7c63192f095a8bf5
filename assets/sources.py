"""The project's files as syntax trees: each parsed once, its definitions found by place or name."""

import ast
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

from afresh.assets.syntax import Syntax, read


@dataclass(slots=True)
class SourceFile:
    """One parsed file. Only what is asked for is read further, and once."""

    source: bytes
    at_line: dict[int, list[Any]] = field(default_factory=dict)
    classes: dict[str, list[ast.ClassDef]] = field(default_factory=dict)
    bindings: dict[str, list[ast.stmt]] = field(default_factory=dict)
    whole: bool = False
    _read: dict[int, tuple[Any, Syntax]] = field(default_factory=dict)
    _module: Syntax | None = None

    @classmethod
    def parse(cls, source: bytes) -> "SourceFile":
        """Parse, and find what stands at the top, and in the classes and branches there."""
        parsed = cls(source)
        for statement in _statements(_parse(source).body):
            parsed._place(statement)
            for name in _bound(statement):
                parsed.bindings.setdefault(name, []).append(statement)
        return parsed

    def syntax(self, node: Any) -> Syntax:
        """Read a node of this file."""
        known = self._read.get(id(node))
        if known is None:
            # With its node: the place of one that is let go is given to another.
            known = self._read[id(node)] = (node, read(node))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.body = []  # large, and never looked at again
        return known[1]

    def module(self) -> Syntax:
        """Read the file as a whole."""
        if self._module is None:
            self._module = read(_parse(self.source))
        return self._module

    def function(self, code: CodeType) -> Any:
        """Find the node that a code object was compiled from; None if it is not here."""
        return self._at(code) or (self._at(code) if self.search() else None)

    def search(self) -> bool:
        """Find what is defined within functions too; False if that was done before."""
        if self.whole:
            return False
        self.whole = True
        self.at_line.clear()
        self.classes.clear()
        for node in ast.walk(_parse(self.source)):
            self._place(node)
        return True

    def _at(self, code: CodeType) -> Any:
        named = [
            node
            for node in self.at_line.get(code.co_firstlineno, ())
            if getattr(node, "name", "<lambda>") == code.co_name
        ]
        if len(named) > 1:  # lambdas on one line: by the place of what they compute
            places = {place for place in code.co_positions() if place[2] is not None}
            named = [node for node in named if _starts(node.body, places)] or named
        return named[0] if named else None

    def _place(self, node: Any) -> None:
        kind = node.__class__
        if kind in (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda):
            first = node.lineno
            decorators = getattr(node, "decorator_list", None)
            if decorators:
                first = min(first, decorators[0].lineno)
            self.at_line.setdefault(first, []).append(node)
        elif kind is ast.ClassDef:
            self.classes.setdefault(node.name, []).append(node)


def _starts(body: Any, places: set[Any]) -> bool:
    return (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in places


def _statements(body: list[Any]) -> Iterator[Any]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for part in ("body", "orelse", "finalbody"):
            nested = getattr(statement, part, None)
            if nested:
                yield from _statements(nested)
        for handler in getattr(statement, "handlers", ()):
            yield from _statements(handler.body)


def _bound(statement: ast.stmt) -> Iterator[str]:
    targets: list[Any] = []
    if isinstance(statement, ast.Assign):
        targets = list(statement.targets)
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(statement, ast.With | ast.AsyncWith):
        targets = [item.optional_vars for item in statement.items if item.optional_vars]
    elif isinstance(statement, ast.For | ast.AsyncFor):
        targets = [statement.target]
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _parse(source: bytes) -> ast.Module:
    # The collector would look through a million new nodes again and again, twice as long as it
    # takes to parse them. Frozen and thawed they count as old.
    collecting, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        gc.freeze()
        if not frozen:
            gc.unfreeze()
        if collecting:
            gc.enable()


_files: dict[str, tuple[tuple[int, int, int], SourceFile | None]] = {}


def source_file(path: str) -> SourceFile | None:
    """Parse a file, once a state of it; None if it cannot be read or is no Python."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - ten thousand times a load
    except OSError:
        return None
    state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    known = _files.get(path)
    if known is not None and known[0] == state:
        return known[1]
    try:
        parsed = SourceFile.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        parsed = None
    _files[path] = (state, parsed)
    return parsed


def forget_sources() -> None:
    """Let go of all parsed files."""
    _files.clear()
