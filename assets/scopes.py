"""Which names a piece of code reads from outside: the scopes of Python, one within the other."""

Path = tuple[str, ...]
"""A name and the attributes that follow it: `helpers.clean` is ("helpers", "clean")."""


class _Scope:
    __slots__ = ("bound", "kind", "outer", "reads")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.bound: set[str] = set()
        self.outer: set[str] = set()
        self.reads: set[Path] = set()


class Scopes:
    """The scopes at one place of the code; the outermost is what is around the piece."""

    def __init__(self) -> None:
        self._scopes = [_Scope("outside")]

    @property
    def kind(self) -> str:
        """What the innermost is: "function", "class", "comprehension", "outside"."""
        return self._scopes[-1].kind

    @property
    def free(self) -> tuple[Path, ...]:
        """What is read from outside, in order of names."""
        return tuple(sorted(self._scopes[0].reads))

    def enter(self, kind: str) -> None:
        """Begin a scope."""
        self._scopes.append(_Scope(kind))

    def leave(self) -> None:
        """End it: what it reads and does not bind is read from around it."""
        scope = self._scopes.pop()
        reads = scope.reads
        if scope.kind != "class":  # a class body may read the global that it then hides
            bound = scope.bound - scope.outer
            reads = {path for path in reads if path[0] not in bound}
        self._scopes[-1].reads |= reads

    def bind(self, name: str) -> None:
        """Note that a name is given a value here."""
        self._scopes[-1].bound.add(name)

    def bind_around(self, name: str) -> None:
        """Note that a name is given a value here, and around comprehensions (`:=`)."""
        for scope in reversed(self._scopes):
            scope.bound.add(name)
            if scope.kind != "comprehension":
                return

    def read(self, path: Path) -> None:
        """Note that a name is read here."""
        self._scopes[-1].reads.add(path)

    def declare_outer(self, names: list[str]) -> None:
        """Note names that are of a scope around this one (`global`, `nonlocal`)."""
        self._scopes[-1].outer.update(names)
