"""Values as text: constants that code reads, whole, whatever they are made of."""

import enum
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, Protocol
from uuid import UUID

_SCALARS = (type(None), bool, int, float, complex, bytes, type(...), type(NotImplemented))
_PRINTED = (
    str,
    int,
    float,
    bytes,
    Decimal,
    Fraction,
    date,
    time,
    timedelta,
    tzinfo,
    UUID,
    range,
    slice,
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DATA = frozenset({"numpy", "pandas", "polars", "pyarrow"})


class Project(Protocol):
    """What is needed to know of the project: see `reach.Reach`."""

    root: str

    def has(self, value: Any) -> bool:
        """Tell whether a function, class or module is the project's own."""
        ...


class Target(Protocol):
    """Where it is written to: see `reach.Node`."""

    tokens: list[str]
    children: list[Any]


class ValueWriter:
    """Writes values into a node; the project's definitions among them become its children."""

    def __init__(self, project: Project, node: Target) -> None:
        self._project = project
        self._node = node
        self._open: set[int] = set()

    def write(self, value: Any) -> bool:
        """Write a value. False: it is a library's object, of which only the kind could be told."""
        kind = type(value)
        if kind is str:
            self._text(value)
            return True
        if kind in _SCALARS:
            self._say(kind.__name__ + (hex(value) if kind is int else repr(value)))
            return True
        if id(value) in self._open:
            self._say("again")
            return True
        self._open.add(id(value))
        try:
            return self._write(value, kind)
        finally:
            self._open.discard(id(value))

    def _say(self, text: str) -> None:
        self._node.tokens.append(text)

    def _child(self, value: Any) -> bool:
        self._say("^")
        self._node.children.append(value)
        return True

    def _text(self, value: str) -> None:
        # Where the project lies is no part of its code: its snapshots lie elsewhere each time.
        if self._project.root and self._project.root in value:
            value = value.replace(self._project.root, "<project>")
        self._say("str " + value)

    def _write(self, value: Any, kind: type) -> bool:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type | ModuleType):
            if self._project.has(value):
                return self._child(value)
            self._say(f"named {getattr(value, '__module__', '')} {_name(value)}")
            return True
        if isinstance(value, enum.Enum):
            self._say(f"enum {value.name}")
            return self._all([value.value, kind])
        if isinstance(value, _PRINTED):
            self._say(_name(kind))
            self._text(repr(value) if not isinstance(value, str) else str.__str__(value))
            return True
        if isinstance(value, PurePath):
            self._text(f"path {value}")
            return True
        if isinstance(value, re.Pattern):
            self._say(f"pattern {value.pattern!r} {value.flags}")
            return True
        if isinstance(value, Mapping | MappingProxyType | AbstractSet | list | tuple):
            return self._container(value, kind)
        return self._object(value, kind)

    def _container(self, value: Any, kind: type) -> bool:
        self._say(f"{_name(kind)} {len(value)}")
        if isinstance(value, Mapping | MappingProxyType):
            # In their order: it may be that of columns.
            return self._all(part for item in value.items() for part in item)
        if isinstance(value, AbstractSet):
            return self._all(sorted(value, key=_order))
        return self._all(value)

    def _all(self, values: Any) -> bool:
        whole = True
        for value in values:
            whole = self.write(value) and whole
        return whole

    def _function(self, function: FunctionType) -> bool:
        if self._project.has(function):
            self._child(function)
        else:
            self._say(f"named {function.__module__} {function.__qualname__}")
            if function.__module__.partition(".")[0] == "afresh":
                return True
        # A wrapper, of a library too, may hold what it wraps.
        for cell in function.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:
                continue
            if isinstance(held, FunctionType | MethodType | functools.partial | type):
                self.write(held)
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self.write(wrapped)
        registry = getattr(function, "registry", None)
        if isinstance(registry, MappingProxyType):  # functools.singledispatch: all it may call
            self.write(registry)
        return True

    def _object(self, value: Any, kind: type) -> bool:
        for kinds, parts in _PARTS:
            if isinstance(value, kinds):
                return self._all([_name(kind), *parts(value)])
        if self._project.has(kind):
            self._child(kind)
            return self._all(_state(value))
        module = kind.__module__.partition(".")[0]
        self._say(f"a {kind.__module__} {_name(kind)}")
        if module == "afresh":
            return True
        if hasattr(value, "__wrapped__"):  # functools.lru_cache and its like
            return self.write(value.__wrapped__)
        if module in _DATA:
            return self._data(value)
        return False

    def _data(self, value: Any) -> bool:
        """Arrays and frames by their values, without importing what they are of."""
        if hasattr(value, "to_pydict"):
            return self._all([str(value.schema), value.to_pydict()])
        if hasattr(value, "columns") and hasattr(value, "iloc"):
            series = [value.iloc[:, place] for place in range(len(value.columns))]
            self._all([list(value.columns), _labels(value.index)])
            return self._all([str(each.dtype), each.tolist()] for each in series)
        if hasattr(value, "get_columns"):
            return self._all([str(value.schema), value.to_dict(as_series=False)])
        for read in ("tolist", "to_list", "to_pylist", "item"):
            if hasattr(value, read):
                if hasattr(value, "iloc"):
                    self.write(_labels(value.index))
                dtype = str(getattr(value, "dtype", ""))
                return self._all([dtype, str(getattr(value, "shape", "")), getattr(value, read)()])
        return False


_PARTS: tuple[tuple[Any, Callable[[Any], Sequence[Any]]], ...] = (
    (functools.partial, lambda value: [value.func, value.args, value.keywords]),
    (MethodType, lambda value: [value.__func__, value.__self__]),
    (staticmethod | classmethod, lambda value: [value.__func__]),
    (property, lambda value: [value.fget, value.fset, value.fdel]),
    (functools.cached_property, lambda value: [value.func]),
    (BuiltinFunctionType, lambda value: [str(value.__module__), value.__qualname__]),
)


def _name(kind: Any) -> str:
    return str(getattr(kind, "__qualname__", getattr(kind, "__name__", kind)))


def _order(value: Any) -> tuple[str, str]:
    return (_name(type(value)), _ADDRESS.sub("", repr(value)))


def _labels(index: Any) -> Any:
    """What the rows of a pandas object are called; of mere numbers, which."""
    return repr(index) if hasattr(index, "step") else index.tolist()


def _state(value: Any) -> Sequence[Any]:
    """What an object of a project's class holds."""
    state: dict[str, Any] = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, slot) and slot not in ("__dict__", "__weakref__"):
                state[slot] = getattr(value, slot)
    return [part for name in sorted(state) for part in (name, state[name])]
