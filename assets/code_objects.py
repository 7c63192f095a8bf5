"""Code as Python holds it when it is loaded: functions of a class, cells, bytecode."""

import functools
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any


def functions_of(klass: type) -> Iterator[FunctionType]:
    """Give the functions that a class was defined with, whatever they are wrapped in."""
    for member in list(vars(klass).values()):
        function = inspect.unwrap(member) if isinstance(member, FunctionType) else member
        function = getattr(function, "__func__", getattr(function, "fget", function))
        if isinstance(function, functools.cached_property):
            function = function.func
        if isinstance(function, MethodType):
            function = function.__func__
        if isinstance(function, FunctionType):
            yield function


def cells_of(function: FunctionType) -> dict[str, Any]:
    """Give what a function holds of the functions around it, by name."""
    cells = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # not yet bound
            continue
    return cells


def names_of(code: CodeType) -> set[str]:
    """Give the names of other scopes that code reads, and the attributes."""
    names = set(code.co_names) | set(code.co_freevars)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= names_of(constant)
    return names


def write_code(tokens: list[str], code: CodeType) -> None:
    """Write code whose source is not there: made by exec, or by a library for the project."""
    tokens.append(code.co_code.hex())
    tokens.extend([*code.co_varnames, *code.co_names])
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            write_code(tokens, constant)
        else:
            tokens.append(
                repr(constant)
                if not isinstance(constant, frozenset)
                else repr(sorted(constant, key=repr))
            )
