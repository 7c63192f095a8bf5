"""The syntax of a definition without what does not count, and the names that it reads.

What does not count, beside what `normal_form` leaves out: the annotations of functions and of their
local variables, the definition's own name. Annotations in a class body count: dataclasses and
models are made of them.
"""

import ast
from dataclasses import dataclass, field
from typing import Any

from afresh.assets.normal_form import NormalForm
from afresh.assets.scopes import Path, Scopes


@dataclass(slots=True)
class Syntax:
    """A piece of code: its text in normal form, the free names that it reads, in order of names.

    `annotated` are names in annotations of parameters. `imports` are made within: the name to
    (module, level, attribute or ""). `decorators` are told apart from the rest.
    """

    text: str
    reads: tuple[Path, ...] = ()
    annotated: tuple[Path, ...] = ()
    imports: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    decorators: tuple["Syntax", ...] = ()


def read(node: ast.AST) -> Syntax:
    """Read a function, lambda, class, module or statement."""
    decorators = tuple(_piece(each) for each in getattr(node, "decorator_list", ()))
    writer = _Writer()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        writer.function(node, nested=False)
    elif isinstance(node, ast.ClassDef):
        writer.klass(node, nested=False)
    elif isinstance(node, ast.Module):
        writer.body(node.body)
    else:
        writer.write(node)
    return writer.done(decorators)


def _piece(node: ast.AST) -> Syntax:
    writer = _Writer()
    writer.write(node)
    return writer.done(())


class _Writer(NormalForm):
    def __init__(self) -> None:
        super().__init__()
        self.annotated: set[Path] = set()
        self.imports: dict[str, tuple[str, int, str]] = {}
        self.scopes = Scopes()

    def done(self, decorators: tuple[Syntax, ...]) -> Syntax:
        return Syntax(
            text=" ".join(self.out),
            reads=self.scopes.free,
            annotated=tuple(sorted(self.annotated)),
            imports=self.imports,
            decorators=decorators,
        )

    def name(self, node: ast.Name) -> None:
        self.out.append(node.id)
        if node.ctx.__class__ is ast.Load:
            self.scopes.read((node.id,))
        else:
            self.scopes.bind(node.id)

    def attribute(self, node: ast.Attribute) -> None:
        names = [node.attr]
        base: Any = node.value
        while base.__class__ is ast.Attribute:
            names.append(base.attr)
            base = base.value
        if base.__class__ is ast.Name:
            self.out.append(base.id)
            self.scopes.read((base.id, *reversed(names)))
        else:
            self.write(base)
        for attribute in reversed(names):
            self.out.append("." + attribute)
        if node.ctx.__class__ is not ast.Load:
            self.out.append("=")

    def function(self, node: Any, *, nested: bool = True) -> None:
        self.out.append(node.__class__.__name__)
        if nested:
            self.scopes.bind(node.name)
            self.out.append(node.name)
            for decorator in node.decorator_list:
                self.write(decorator)
        self.parameters(node.args)
        self.scopes.enter("function")
        self.bind_parameters(node.args)
        self.body(node.body)
        self.scopes.leave()

    def lambda_(self, node: ast.Lambda) -> None:
        self.out.append("Lambda")
        self.parameters(node.args)
        self.scopes.enter("function")
        self.bind_parameters(node.args)
        self.write(node.body)
        self.scopes.leave()

    def parameters(self, args: ast.arguments) -> None:
        """Names and defaults; the defaults are read outside the function."""
        out = self.out
        out.append("(")
        for sort, group in (("/", args.posonlyargs), ("", args.args), ("*", args.kwonlyargs)):
            out.append(sort)
            out.extend(arg.arg for arg in group)
        for star, arg in (("*", args.vararg), ("**", args.kwarg)):
            if arg is not None:
                out.append(star + arg.arg)
        for default in (*args.defaults, *args.kw_defaults):
            if default is None:
                out.append("-")
            else:
                out.append("=")
                self.write(default)
        out.append(")")

    def bind_parameters(self, args: ast.arguments) -> None:
        for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg):
            if arg is not None:
                self.scopes.bind(arg.arg)
                if arg.annotation is not None:
                    self.annotation(arg.annotation)

    def annotation(self, node: ast.expr) -> None:
        """Note the names only: what a parameter's class does may be reached through it."""
        if node.__class__ is ast.Constant:
            if not isinstance(node.value, str):
                return
            try:
                node = ast.parse(node.value, mode="eval").body
            except (SyntaxError, ValueError):
                return
        self.annotated.update(_piece(node).reads)

    def klass(self, node: ast.ClassDef, *, nested: bool = True) -> None:
        self.out.append("class")
        if nested:
            self.scopes.bind(node.name)
            self.out.append(node.name)
            for decorator in node.decorator_list:
                self.write(decorator)
        for base in (*node.bases, *node.keywords):
            self.write(base)
        self.scopes.enter("class")
        self.body(node.body)
        self.scopes.leave()

    def comprehension(self, node: Any) -> None:
        self.out.append(node.__class__.__name__)
        # The first iterable is read outside.
        self.write(node.generators[0].iter)
        self.scopes.enter("comprehension")
        for place, generator in enumerate(node.generators):
            self.out.append("async for" if generator.is_async else "for")
            self.write(generator.target)
            if place:
                self.write(generator.iter)
            for condition in generator.ifs:
                self.out.append("if")
                self.write(condition)
        for part in ("key", "value", "elt"):
            if hasattr(node, part):
                self.write(getattr(node, part))
        self.scopes.leave()

    def walrus(self, node: ast.NamedExpr) -> None:
        self.out.append(":=")
        self.out.append(node.target.id)
        self.scopes.bind_around(node.target.id)
        self.write(node.value)

    def added(self, node: ast.AugAssign) -> None:
        # `n += 1` reads it too.
        if isinstance(node.target, ast.Name):
            self.scopes.read((node.target.id,))
        self.fields(node)

    def annotated_assign(self, node: ast.AnnAssign) -> None:
        if self.scopes.kind == "function":
            if node.value is None:
                if isinstance(node.target, ast.Name):
                    self.scopes.bind(node.target.id)
                return
            self.write(ast.Assign(targets=[node.target], value=node.value))
            return
        self.out.append("AnnAssign")
        for part in (node.target, node.annotation, node.value):
            if part is not None:
                self.write(part)

    def outer(self, node: ast.Global | ast.Nonlocal) -> None:
        self.out.append(node.__class__.__name__)
        self.out.extend(node.names)
        self.scopes.declare_outer(node.names)

    def imported(self, node: ast.Import | ast.ImportFrom) -> None:
        self.out.append(node.__class__.__name__)
        module = node.module or "" if isinstance(node, ast.ImportFrom) else None
        level = node.level if isinstance(node, ast.ImportFrom) else 0
        for alias in node.names:
            self.out.append(f"{level} {module} {alias.name} {alias.asname}")
            if module is not None:
                self.imports[alias.asname or alias.name] = (module, level, alias.name)
            elif alias.asname:
                self.imports[alias.asname] = (alias.name, 0, "")
            else:
                self.imports[alias.name.partition(".")[0]] = (alias.name.partition(".")[0], 0, "")

    def caught(self, node: ast.ExceptHandler) -> None:
        self.out.append("except")
        if node.type is not None:
            self.write(node.type)
        if node.name:
            self.out.append(node.name)
            self.scopes.bind(node.name)
        self.body(node.body)

    def matched(self, node: Any) -> None:
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        self.out.append(node.__class__.__name__)
        if name:
            self.out.append(name)
            self.scopes.bind(name)
        for part in ("pattern", "keys", "patterns"):
            value = getattr(node, part, None)
            for each in value if isinstance(value, list) else [value]:
                if each is not None:
                    self.write(each)


_Writer.special = {
    ast.Name: _Writer.name,
    ast.Attribute: _Writer.attribute,
    ast.Constant: _Writer.constant,
    ast.FunctionDef: _Writer.function,
    ast.AsyncFunctionDef: _Writer.function,
    ast.Lambda: _Writer.lambda_,
    ast.ClassDef: _Writer.klass,
    ast.ListComp: _Writer.comprehension,
    ast.SetComp: _Writer.comprehension,
    ast.DictComp: _Writer.comprehension,
    ast.GeneratorExp: _Writer.comprehension,
    ast.NamedExpr: _Writer.walrus,
    ast.AnnAssign: _Writer.annotated_assign,
    ast.AugAssign: _Writer.added,
    ast.Global: _Writer.outer,
    ast.Nonlocal: _Writer.outer,
    ast.Import: _Writer.imported,
    ast.ImportFrom: _Writer.imported,
    ast.ExceptHandler: _Writer.caught,
    ast.MatchAs: _Writer.matched,
    ast.MatchStar: _Writer.matched,
    ast.MatchMapping: _Writer.matched,
}
