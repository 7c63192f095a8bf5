"""A schema as plain data, with two hashes: what it does to data, and what it demands."""

import inspect
import json
import os
from collections.abc import Callable
from typing import Any

from afresh.assets.digest import digest
from afresh.assets.fingerprint import code_key, definition_line
from afresh.assets.manifest import Column, Schema, Where
from afresh.assets.marks import dtype_mark
from afresh.assets.schema.dtypes import canonical, native
from afresh.assets.schema.live import Live, live

_DATA = "afresh-schema-data-1"
_VERSION = "afresh-schema-version-1"


def describe(schema: object, *, root: str = "") -> Schema:
    """Describe a pandera model or schema. Raises DefinitionError for one that cannot be held.

    `root` is the project's folder: the code of the project's own checks and parsers is followed
    below it. The hashes are the same in every process.
    """
    found = live(schema)
    plain = found.plain
    columns = tuple(_column(found, name, column, root) for name, column in plain.columns.items())
    checks = tuple(_check(check, root) for check in plain.checks)
    data_key = digest(_DATA, *_effects(found, root))
    rules = _rules(found)
    demands = [
        str(plain.strict),
        *rules,
        *checks,
        *(json.dumps([c.native, *_plain(c)], ensure_ascii=False) for c in columns),
    ]
    return Schema(
        name=found.name,
        columns=columns,
        strict=_strict(plain.strict),
        data_key=data_key,
        version=digest(_VERSION, data_key, *demands),
        where=_where(schema, root),
        checks=checks,
        rules=rules,
    )


def _rules(found: Live) -> tuple[str, ...]:
    """What a frame has to be as a whole, each as text, if it is demanded."""
    plain = found.plain
    said = {
        "unique": plain.unique,
        "unique_column_names": plain.unique_column_names,
        "ordered": plain.ordered,
        "add_missing_columns": plain.add_missing_columns,
        "dtype": str(plain.dtype) if plain.dtype is not None else None,
    }
    rules = [f"{name} {json.dumps(value, default=str)}" for name, value in said.items() if value]
    return (f"library {found.library}", *rules)


def _strict(strict: object) -> Any:
    return "filter" if strict == "filter" else "strict" if strict else "open"


def _plain(column: Column) -> list[Any]:
    return [
        column.name,
        column.dtype,
        column.nullable,
        column.required,
        column.coerce,
        list(column.checks),
        column.regex,
    ]


def _column(found: Live, name: str, column: Any, root: str) -> Column:
    plain = found.plain
    checks = [_check(check, root) for check in column.checks]
    if column.unique:
        checks.append("unique")
    return Column(
        name=name,
        dtype=canonical(plain.dtype or column.dtype, found.library),
        nullable=bool(column.nullable),
        required=bool(column.required),
        coerce=bool(plain.coerce or column.coerce),
        checks=tuple(checks),
        regex=bool(column.regex),
        native=str(native(column.dtype)),
    )


def _effects(found: Live, root: str) -> list[str]:
    """What the schema does to data, each as text; nothing at all for one that only looks."""
    plain = found.plain
    effects: list[Any] = [["parse", _code(parser._parser_fn, root)] for parser in plain.parsers]  # noqa: SLF001
    if plain.strict == "filter":
        effects.append(["filter", [[name, column.regex] for name, column in plain.columns.items()]])
    if plain.ordered:
        effects.append(["ordered", list(plain.columns)])
    for name, column in plain.columns.items():
        dtype = plain.dtype or column.dtype
        if (plain.coerce or column.coerce) and dtype is not None:
            effects.append(["coerce", name, column.regex, str(native(dtype)), str(dtype)])
        elif found.library == "pandas" and dtype is not None and _represented(native(dtype)):
            effects.append(["as", name, column.regex, dtype_mark(native(dtype)), str(dtype)])
        if column.default is not None:
            effects.append(["default", name, repr(column.default)])
        if plain.add_missing_columns:
            effects.append(["add", name, repr(column.default)])
        effects.extend(["parse", name, _code(parser._parser_fn, root)] for parser in column.parsers)  # noqa: SLF001
    return [json.dumps(effect, ensure_ascii=False) for effect in effects]


def _represented(dtype: Any) -> bool:
    """Whether data read for this dtype is another frame than for the one of its plain type."""
    mark = dtype_mark(dtype)
    return mark[:1].isupper() or mark.partition(",")[0] in _SHAPES


_SHAPES = {"boolean", "string", "object", "category", "ordered category", "arrow"}


def _check(check: Any, root: str) -> str:
    """Write a check as `name{arguments}`, and the hash of its code if it is not pandera's own."""
    said = {name: value for name, value in (check.statistics or {}).items() if value is not None}
    text = (check.name or "check") + (json.dumps(_sorted(said), sort_keys=True) if said else "")
    if not check.ignore_na:
        text += " nulls"
    if check.groupby is not None:
        text += f" by {_sorted(check.groupby) if not callable(check.groupby) else 'code'}"
    if check.raise_warning:
        text += " warning"
    if check.element_wise:
        text += " by value"
    for function in _own_code(check._check_fn):  # noqa: SLF001 - pandera has no other way to it
        text += f" #{_code(function, root)[:12]}"
    return text


def _own_code(function: Any) -> list[Callable[..., Any]]:
    """The functions of a check that are not pandera's: a custom one, or those of a registered."""
    registry = getattr(function, "_function_registry", None)
    found = [function] if registry is None else list(registry.values())
    return [
        each
        for each in found
        if not getattr(each, "__module__", "").startswith("pandera.")
        or getattr(each, "__closure__", None)
    ]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _sorted(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_sorted(item) for item in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return repr(value)


def _code(function: Any, root: str) -> str:
    """Hash a check's or parser's code, below its own file's folder if no project's is known."""
    for cell in getattr(function, "__closure__", None) or ():
        # What a model's decorated method became holds the method.
        for name in ("check_fn", "parser_fn"):
            function = getattr(cell.cell_contents, name, function)
    function = inspect.unwrap(getattr(function, "__func__", function))
    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    return code_key(function, root=root or os.path.dirname(file))  # noqa: PTH120


def _where(schema: object, root: str) -> Where | None:
    if not (root and isinstance(schema, type)):
        return None
    return definition_line(schema, root=root)
