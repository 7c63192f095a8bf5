"""A schema as it is used: pandera's object, resolved and guarded once."""

from dataclasses import dataclass
from typing import Any, Literal

from pandera.api.dataframe.container import DataFrameSchema
from pandera.api.dataframe.model import DataFrameModel

from afresh.assets.errors import DefinitionError
from afresh.assets.schema.lossless import guarded

Library = Literal["pandas", "polars"]


@dataclass(frozen=True, slots=True)
class Live:
    """A resolved schema. `inert`: it only looks at data, and what passes it is what was given."""

    declared: object
    plain: Any
    schema: Any
    library: Library
    name: str
    inert: bool


_known: dict[int, Live] = {}


def is_schema(value: object) -> bool:
    """Tell whether it is a pandera model or schema of a frame, of pandas or polars."""
    if isinstance(value, type):
        return issubclass(value, DataFrameModel) and _library(value) is not None
    return isinstance(value, DataFrameSchema) and _library(type(value)) is not None


def live(declared: Any) -> Live:
    """Resolve a model or schema, once. Raises DefinitionError for one that cannot be held."""
    known = _known.get(id(declared))
    if known is None:
        known = _known[id(declared)] = _resolve(declared)
    return known


def _library(kind: type) -> Library | None:
    for base in kind.__mro__:
        if base.__module__.startswith("pandera.api.polars"):
            return "polars"
        if base.__module__.startswith("pandera.api.pandas"):
            return "pandas"
    return None


def _resolve(declared: Any) -> Live:
    if not is_schema(declared):
        raise DefinitionError(
            f"Expected a pandera model or schema of pandas or polars, found {declared!r}"
        )
    name = declared.__name__ if isinstance(declared, type) else (declared.name or "")
    try:
        plain: Any = getattr(declared, "to_schema", lambda: declared)()
    except Exception as error:
        raise DefinitionError(
            f"Expected a readable schema, found {name}: {type(error).__name__}: {error}",
            hint="see the fields of the model",
        ) from error
    library = _library(type(plain))
    assert library is not None
    _refuse(name, plain, library)
    return Live(declared, plain, guarded(plain, library), library, name, inert=_inert(plain))


def _refuse(name: str, schema: Any, library: Library) -> None:
    columns = schema.columns.values()
    if schema.index is not None:
        raise DefinitionError(
            f"Expected a schema of columns alone, found an index in {name}",
            hint="make the index a column: reset_index(), and declare it as a field",
        )
    if schema.drop_invalid_rows or any(column.drop_invalid_rows for column in columns):
        raise DefinitionError(
            f"Expected a schema that reports invalid rows, found drop_invalid_rows in {name}",
            hint="leave it out: rows never vanish silently",
        )
    if library == "polars" and _parsers(schema):
        raise DefinitionError(
            f"Expected no parsers in a polars schema, found some in {name}",
            hint="pandera does not run them: transform the frame in the function",
        )


def _parsers(schema: Any) -> bool:
    return bool(schema.parsers) or any(column.parsers for column in schema.columns.values())


def _inert(schema: Any) -> bool:
    columns = schema.columns.values()
    return not (
        schema.coerce
        or schema.strict == "filter"
        or schema.add_missing_columns
        or _parsers(schema)
        or any(column.coerce or column.default is not None for column in columns)
    )
