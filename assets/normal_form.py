"""The text of syntax in a normal form: equal for code that differs in layout alone.

Without comments, layout, docstrings and other bare constants, and `pass`.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any, ClassVar


class NormalForm:
    """Writes nodes to `out`, piece by piece.

    `special` has how nodes are written that a subclass knows more of than their fields.
    """

    special: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {}

    def __init__(self) -> None:
        self.out: list[str] = []

    def write(self, node: Any) -> None:
        """Write a node."""
        special = self.special.get(node.__class__)
        if special is not None:
            special(self, node)
        else:
            self.fields(node)

    def fields(self, node: Any) -> None:
        """Write a node by its fields."""
        kind = node.__class__
        fields = _FIELDS.get(kind)
        if fields is None:
            fields = _FIELDS[kind] = tuple(f for f in node._fields if f not in _SKIPPED)
        out = self.out
        out.append(kind.__name__)
        out.append("(")
        for name in fields:
            value = getattr(node, name, None)
            if value is None or value == []:
                continue
            out.append(name)
            if value.__class__ is list:
                self._list(name, value)
            elif isinstance(value, ast.AST):
                self.write(value)
            else:
                out.append(repr(value))
        out.append(")")

    def body(self, statements: list[Any]) -> None:
        """Write statements, those that do something."""
        self.out.append("{")
        for statement in statements:
            kind = statement.__class__
            if kind is ast.Pass or (kind is ast.Expr and statement.value.__class__ is ast.Constant):
                continue
            self.write(statement)
        self.out.append("}")

    def constant(self, node: ast.Constant) -> None:
        """Write a number or text however it is written: of a text its length, so that it ends."""
        value: Any = node.value
        if value.__class__ is str:
            self.out.append(f"s{len(value)}:{value}")
        elif value.__class__ is int:
            self.out.append(hex(value))
        else:
            self.out.append(repr(value))

    def _list(self, name: str, values: list[Any]) -> None:
        if name in _BODIES and values and isinstance(values[0], ast.stmt):
            self.body(values)
            return
        self.out.append("[")
        for value in values:
            if isinstance(value, ast.AST):
                self.write(value)
            else:
                self.out.append(repr(value))
        self.out.append("]")


_BODIES = frozenset({"body", "orelse", "finalbody"})
_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params"})
_FIELDS: dict[type, tuple[str, ...]] = {}
