"""What a function is given: the parts that its task names, verified, as the frame it asked for."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from afresh.assets.errors import InvalidData
from afresh.assets.frames import to_given
from afresh.assets.manifest import Input, Manifest, Schema
from afresh.assets.marks import Marks
from afresh.assets.schema import validate
from afresh.daemon.workers.live import LiveFunction
from afresh.daemon.workers.task import Part, TaskInput
from afresh.storage.artifacts.store import read_table
from afresh.storage.encoding import type_text
from afresh.storage.references import Reference, parse_reference

Original = Callable[[str, Part, Reference], pa.Table]


def read_inputs(
    function: LiveFunction,
    given: Sequence[TaskInput],
    manifest: Manifest,
    made_by: Mapping[str, str],
    original: Original,
) -> dict[str, Any]:
    """Read all inputs; `made_by` is the schema under which each asset was validated when written.

    `original` reads a part whose data is a source's own file or object.

    Raises ArtifactError for what is absent or damaged, InvalidData for partitions that do not fit
    together or data that the input's own schema refuses.
    """
    declared = {item.parameter: item for item in function.declaration.inputs}
    frames = {}
    for item in given:
        declaration = declared[item.parameter]
        schema = manifest.schemas.get(declaration.schema)
        tables = _read(item, _projection(declaration, schema), original)
        table = _joined(item, tables)
        if schema is not None and schema.strict == "filter" and declaration.columns:
            table = _selected(table, schema)
        live = function.inputs.get(item.parameter)
        own = declaration.schema == made_by.get(item.asset, "") and _is_current(item, schema)
        if live is None or (own and _marked_alike(tables)):
            # It was validated by this very schema when it was written.
            frames[item.parameter] = to_given(table, declaration.given)
        else:
            frames[item.parameter] = _validated(table, live, declaration)
    return frames


def _is_current(item: TaskInput, schema: Schema | None) -> bool:
    """Whether rows of a stream that came before the schema was changed are not among them."""
    version = schema.version if schema is not None else ""
    return all(part.take is None or part.schema_version == version for part in item.parts)


def _validated(table: pa.Table, live: object, declaration: Input) -> Any:
    try:
        return validate(table, live, declaration.given)
    except InvalidData as error:
        raise InvalidData(
            f"input {declaration.parameter!r}: {error.error}",
            hint=error.hint,
            cases=error.cases,
            total=error.total,
        ) from error


def _projection(declaration: Input, schema: Schema | None) -> tuple[str, ...] | None:
    """Name the columns to read; None for all, where the schema leaves open which there are."""
    if schema is not None and any(c.regex or not c.required for c in schema.columns):
        return None
    return declaration.columns or None


def _selected(table: pa.Table, schema: Schema) -> pa.Table:
    """Leave what a schema that filters names: staleness looks at nothing else."""
    if not any(c.regex or not c.required for c in schema.columns):
        return table
    wanted = [
        name
        for name in table.column_names
        if any(
            re.match(column.name, name) if column.regex else column.name == name
            for column in schema.columns
        )
    ]
    return table.select(wanted)


def _read(item: TaskInput, columns: tuple[str, ...] | None, original: Original) -> list[pa.Table]:
    return [
        _read_part(part, columns)
        if (reference := parse_reference(part.uri)) is None
        else _selected_columns(original(item.asset, part, reference), columns)
        for part in item.parts
    ]


def _selected_columns(table: pa.Table, columns: tuple[str, ...] | None) -> pa.Table:
    return table if columns is None else table.select(list(columns))


def _read_part(part: Part, columns: tuple[str, ...] | None) -> pa.Table:
    if part.take is None:
        return read_table(part.uri, columns, part.hash)
    # A column that came later is null in what a stream got before.
    return read_table(part.uri, columns, part.hash, absent=True, rows=(part.skip, part.take))


def _marked_alike(tables: list[pa.Table]) -> bool:
    return all(table.schema.metadata == tables[0].schema.metadata for table in tables)


def _joined(item: TaskInput, tables: list[pa.Table]) -> pa.Table:
    if len(tables) == 1:
        return tables[0]
    if not _marked_alike(tables):
        tables = _alike(tables)
    try:
        # Batches of one stream may have been read without declared types, each by its own.
        segments = item.parts[0].take is not None
        return pa.concat_tables(tables, promote_options="permissive" if segments else "default")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        # What one partition has no value of is null in another, and text is text however it is
        # encoded; anything else must be equal.
        apart = _apart(item, tables)
        if apart is not None:
            raise apart from error
    return pa.concat_tables(tables, promote_options="permissive")


def _alike(tables: list[pa.Table]) -> list[pa.Table]:
    """Keep of the marks what all have; categories that differ become plain values."""
    marks = [Marks.of(table) for table in tables]
    first = marks[0]
    dtypes = {n: m for n, m in first.dtypes.items() if all(o.dtypes.get(n) == m for o in marks)}
    categories = {
        n: c for n, c in first.categories.items() if all(o.categories.get(n) == c for o in marks)
    }
    listed = {name for mark in marks for name in mark.categories}
    differing = listed - categories.keys()
    kept = Marks({n: m for n, m in dtypes.items() if n not in differing}, categories)
    return [kept.on(_decoded(table, differing)) for table in tables]


def _decoded(table: pa.Table, names: set[str]) -> pa.Table:
    for place, field in enumerate(table.schema):
        if field.name in names and pa.types.is_dictionary(field.type):
            plain = table.column(place).cast(field.type.value_type)
            table = table.set_column(place, field.name, plain)
    return table


def _apart(item: TaskInput, tables: list[pa.Table]) -> InvalidData | None:
    """Name the first two partitions that do not fit together; None if all do."""
    first: dict[str, tuple[Part, pa.DataType]] = {}
    for part, table in zip(item.parts, tables, strict=True):
        for field in table.schema:
            other, kind = first.setdefault(field.name, (part, field.type))
            if not _unifies(kind, field.type):
                return InvalidData(
                    f"Expected partitions of one type, found column {field.name!r} as {kind} in "
                    f"{_name(item, other)} and as {field.type} in {_name(item, part)}",
                    hint="give the source a schema",
                )
            if pa.types.is_null(kind):
                first[field.name] = (part, field.type)
    return None


def _unifies(one: pa.DataType, other: pa.DataType) -> bool:
    types = pa.types
    if types.is_null(one) or types.is_null(other) or type_text(one) == type_text(other):
        return True
    if types.is_struct(one) and types.is_struct(other):
        common = {field.name for field in one} & {field.name for field in other}
        return all(_unifies(one.field(name).type, other.field(name).type) for name in common)
    lists = (types.is_list, types.is_large_list)
    if any(holds(one) for holds in lists) and any(holds(other) for holds in lists):
        return _unifies(one.value_type, other.value_type)
    return False


def _name(item: TaskInput, part: Part) -> str:
    return f"{item.asset}[{part.partition}]@{part.version}"
