"""What a definition reads: the names in its syntax, looked up where it runs."""

import importlib
import inspect
import os
import sys
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from afresh.assets.code_objects import cells_of, functions_of, names_of, write_code
from afresh.assets.scopes import Path
from afresh.assets.sources import source_file
from afresh.assets.syntax import Syntax
from afresh.assets.values import ValueWriter

_ABSENT = object()
_VENDORED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)


class Binding(NamedTuple):
    """A name that a statement at the top of a module gives a value that cannot be read itself."""

    file: str
    name: str


@dataclass(slots=True)
class Node:
    """A definition: its own text in pieces, and what it reads, in the order of the text."""

    name: str = ""
    tokens: list[str] = field(default_factory=list)
    children: list[Any] = field(default_factory=list)


class Reach:
    """Looks definitions up in one project."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root) if root else ""  # noqa: PTH100 - no resolving of links
        # A file may be named through a link, or without it.
        roots = {self.root, os.path.realpath(self.root)} if root else set()
        self._inside = tuple(each.rstrip(os.sep) + os.sep for each in roots)

    # what belongs to the project

    def has_file(self, file: str | None) -> bool:
        """Tell whether a file is the project's own."""
        for root in self._inside:
            if file is not None and file.startswith(root):
                # The project itself may be installed among libraries.
                below = file[len(root) - 1 :]
                return not any(part in below for part in _VENDORED)
        return False

    def has(self, value: Any) -> bool:
        """Tell whether a function, class or module is the project's own."""
        if isinstance(value, FunctionType):
            return self.has_file(value.__code__.co_filename)
        if isinstance(value, ModuleType):
            return self._has_module(value)
        if isinstance(value, type):
            module = sys.modules.get(value.__module__)
            if module is not None:
                return self._has_module(module)
            return any(self.has(member) for member in functions_of(value))
        return False

    def _has_module(self, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        if file is not None:
            return self.has_file(file)
        return any(self.has_file(path + os.sep) for path in getattr(module, "__path__", ()))

    # definitions

    def value(self, value: Any) -> Node:
        """Make the node of any value."""
        node = Node()
        ValueWriter(self, node).write(value)
        return node

    def expand(self, value: Any) -> Node:
        """Make the node of a definition: a function, class, module or binding."""
        if isinstance(value, Binding):
            return self._binding(value)
        if isinstance(value, ModuleType):
            return self._module(value)
        if isinstance(value, type):
            return self._class(value)
        return self._function(value)

    def place(self, value: Any) -> tuple[str, int] | None:
        """Find the file and line of a function or class of the project."""
        value = inspect.unwrap(value) if callable(value) else value
        if isinstance(value, FunctionType) and self.has(value):
            return value.__code__.co_filename, value.__code__.co_firstlineno
        if isinstance(value, type) and self.has(value):
            file = getattr(sys.modules.get(value.__module__), "__file__", None)
            source = source_file(file) if file else None
            nodes = source.classes.get(value.__name__) if source else None
            if file and nodes:
                return file, nodes[0].lineno
        return None

    def _function(self, function: FunctionType) -> Node:
        node = Node(function.__name__)
        code = function.__code__
        writer = ValueWriter(self, node)
        source = source_file(code.co_filename)
        tree = source.function(code) if source is not None else None
        if source is None or tree is None:
            write_code(node.tokens, code)
            syntax = Syntax("", tuple((name,) for name in sorted(names_of(code))))
        else:
            syntax = source.syntax(tree)
        for label, value in (("=", function.__defaults__), ("*=", function.__kwdefaults__)):
            if value:
                node.tokens.append(label)
                writer.write(value)
        cells = cells_of(function)
        self._syntax(node, writer, syntax, function.__globals__, cells)
        return node

    def _syntax(
        self,
        node: Node,
        writer: ValueWriter,
        syntax: Syntax,
        scope: dict[str, Any],
        cells: dict[str, Any],
    ) -> None:
        """Add a piece of syntax and all that it reads. Decorators of afresh are metadata."""
        node.tokens.append(syntax.text)
        for decorator in syntax.decorators:
            if not self._is_ours(decorator, scope, cells):
                node.tokens.append("@")
                self._syntax(node, writer, decorator, scope, cells)
        for path in syntax.reads:
            value = self._look_up(path, syntax, scope, cells)
            if value is _ABSENT or (isinstance(value, ModuleType) and not self.has(value)):
                continue
            node.tokens.append(".".join(path))
            if not writer.write(value):
                binding = self._bound(path, scope)
                node.children.extend([binding] if binding is not None else [])
        for path in syntax.annotated:
            value = self._look_up(path, syntax, scope, cells)
            # A model or dataclass may compute. A frame's schema says so by its own hash.
            if isinstance(value, type) and self.has(value) and not hasattr(value, "to_schema"):
                node.tokens.append(":")
                node.children.append(value)

    def _is_ours(self, decorator: Syntax, scope: dict[str, Any], cells: dict[str, Any]) -> bool:
        if not decorator.reads:
            return False
        for path in decorator.reads:
            value = cells.get(path[0], scope.get(path[0], _ABSENT))
            for name in path[1:]:
                value = getattr(value, name, _ABSENT)
            module = getattr(value, "__module__", None)
            if isinstance(value, FunctionType) and str(module).startswith("afresh."):
                return True
        return False

    def _look_up(
        self, path: Path, syntax: Syntax, scope: dict[str, Any], cells: dict[str, Any]
    ) -> Any:
        name = path[0]
        if name in syntax.imports:
            value = self._imported(syntax.imports[name], scope)
        elif name in cells:
            value = cells[name]
        else:
            value = scope.get(name, _ABSENT)
        for attribute in path[1:]:
            if not isinstance(value, ModuleType) or not self.has(value):
                break
            module, value = value, getattr(value, attribute, _ABSENT)
            if value is _ABSENT and name in syntax.imports:
                # `import package.module`, which nothing may have imported before the run.
                value = self._project_module(f"{module.__name__}.{attribute}") or _ABSENT
        return value

    def _imported(self, target: tuple[str, int, str], scope: dict[str, Any]) -> Any:
        """Find what an import within a function brings; a module of the project is imported."""
        name, level, attribute = target
        if level:
            package = str(scope.get("__package__") or "").split(".")
            name = ".".join([*package[: len(package) - level + 1], *([name] if name else [])])
        module = self._project_module(name)
        if module is None or not attribute:
            return _ABSENT if module is None else module
        value = getattr(module, attribute, _ABSENT)
        if value is _ABSENT:
            value = self._project_module(f"{name}.{attribute}") or _ABSENT
        return value

    def _project_module(self, name: str) -> ModuleType | None:
        known = sys.modules.get(name)
        if known is not None:
            return known if self.has(known) else None
        base = os.path.join(self.root, *name.split("."))  # noqa: PTH118
        if not name or not (os.path.isfile(base + ".py") or os.path.isdir(base)):  # noqa: PTH112, PTH113
            return None
        try:
            return importlib.import_module(name)
        except Exception:  # noqa: BLE001 - it fails at the run too, and there it is told
            return None

    def _class(self, klass: type) -> Node:
        node = Node(klass.__name__)
        writer = ValueWriter(self, node)
        module = sys.modules.get(klass.__module__)
        file = getattr(module, "__file__", None)
        source = source_file(file) if file else None
        trees = source.classes.get(klass.__name__, []) if source else []
        if source is not None and not trees and source.search():
            trees = source.classes.get(klass.__name__, [])
        if source is None or not trees:
            node.tokens.append(klass.__qualname__)
            for name, member in sorted(vars(klass).items()):
                if not name.startswith("__") or isinstance(member, FunctionType):
                    node.tokens.append(name)
                    writer.write(member)
            return node
        cells: dict[str, Any] = {}
        for member in functions_of(klass):
            cells |= cells_of(member)
        cells.pop("__class__", None)
        for tree in trees:
            self._syntax(node, writer, source.syntax(tree), vars(module), cells)
        return node

    def _module(self, module: ModuleType) -> Node:
        node = Node(module.__name__)
        file = getattr(module, "__file__", None)
        source = source_file(file) if file else None
        node.tokens.append("module")
        if source is not None:
            self._syntax(node, ValueWriter(self, node), source.module(), vars(module), {})
        return node

    def _bound(self, path: Path, scope: dict[str, Any]) -> Binding | None:
        """Find the statement that binds a name, through imports from the project's modules."""
        names = list(path)
        for _ in range(16):
            value = scope.get(names[0])
            while isinstance(value, ModuleType) and len(names) > 1 and self.has(value):
                scope = vars(value)
                names.pop(0)
                value = scope.get(names[0])
            file = scope.get("__file__")
            source = source_file(file) if self.has_file(file) and file else None
            statements = source.bindings.get(names[0]) if source else None
            if source is None or not statements or file is None:
                return None
            origin = source.syntax(statements[-1]).imports.get(names[0])
            if origin is None:
                return Binding(file, names[0])
            module = self._imported((origin[0], origin[1], ""), scope)
            if not isinstance(module, ModuleType) or not origin[2]:
                return None
            scope, names = vars(module), [origin[2], *names[1:]]
        return None

    def _binding(self, binding: Binding) -> Node:
        node = Node(binding.name)
        source = source_file(binding.file)
        if source is None:
            return node
        scope = next(
            (
                vars(m)
                for m in list(sys.modules.values())
                if getattr(m, "__file__", None) == binding.file
            ),
            {},
        )
        writer = ValueWriter(self, node)
        for statement in source.bindings.get(binding.name, ()):
            self._syntax(node, writer, source.syntax(statement), scope, {})
        return node
