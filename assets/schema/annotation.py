"""What an annotation says of a frame: the shape in which it is given, and its schema."""

from typing import Annotated, Any, get_args, get_origin

from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Given
from afresh.assets.schema.live import is_schema

_FRAMES: dict[tuple[str, str], Given] = {
    ("pandas", "DataFrame"): "pandas",
    ("polars", "DataFrame"): "polars",
    ("polars", "LazyFrame"): "polars_lazy",
    ("pyarrow", "Table"): "pyarrow",
}


def schema_of_annotation(annotation: Any) -> tuple[Given, object | None] | None:
    """Read an annotation, as `typing.get_type_hints(..., include_extras=True)` gives it.

    None is no frame. `DataFrame[Model]` of pandera.typing, plain frames, and
    `Annotated[frame, schema]` are frames. Raises DefinitionError for a typed frame of something
    that is no schema.
    """
    if get_origin(annotation) is Annotated:
        frame, *extras = get_args(annotation)
        found = schema_of_annotation(frame)
        if found is None:
            return None
        given, schema = found
        return given, next((extra for extra in extras if is_schema(extra)), schema)
    origin = get_origin(annotation)
    if origin is None:
        given_plain = _frame(annotation)
        return None if given_plain is None else (given_plain, None)
    given_typed = _frame(origin)
    if given_typed is None:
        return None
    schema = get_args(annotation)[0]
    if not is_schema(schema):
        raise DefinitionError(
            f"Expected a frame of a schema, found {annotation}",
            hint="name a pandera DataFrameModel between the brackets",
        )
    return given_typed, schema


def _frame(kind: object) -> Given | None:
    """Which frame a class is, its bases included: pandera's typed frames derive from the plain.

    It is told by its name, since a project need not have polars.
    """
    for base in getattr(kind, "__mro__", ()):
        found = _FRAMES.get((base.__module__.partition(".")[0], base.__name__))
        if found is not None:
            return found
    return None
