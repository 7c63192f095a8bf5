"""What a function is given: the parts that its task names, verified, as the frame it asked for."""

import re
from collections.abc import Mapping, Sequence
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


def read_inputs(
    function: LiveFunction,
    given: Sequence[TaskInput],
    manifest: Manifest,
    made_by: Mapping[str, str],
) -> dict[str, Any]:
    """Read all inputs; `made_by` is the schema under which each asset was validated when written.

    Raises ArtifactError for what is absent or damaged, InvalidData for partitions that do not fit
    together or data that the input's own schema refuses.
    """
    declared = {item.parameter: item for item in function.declaration.inputs}
    frames = {}
    for item in given:
        declaration = declared[item.parameter]
        schema = manifest.schemas.get(declaration.schema)
        table = _read(item, _projection(declaration, schema))
        if schema is not None and schema.strict == "filter" and declaration.columns:
            table = _selected(table, schema)
        live = function.inputs.get(item.parameter)
        if live is None or declaration.schema == made_by.get(item.asset, ""):
            # It was validated by this very schema when it was written.
            frames[item.parameter] = to_given(table, declaration.given)
        else:
            frames[item.parameter] = _validated(table, live, declaration)
    return frames


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


def _read(item: TaskInput, columns: tuple[str, ...] | None) -> pa.Table:
    tables = [read_table(part.uri, columns, part.hash) for part in item.parts]
    if len(tables) == 1:
        return tables[0]
    if any(table.schema.metadata != tables[0].schema.metadata for table in tables):
        tables = _alike(tables)
    try:
        # What one partition has no value of is null in another; anything else must be equal.
        return pa.concat_tables(tables, promote_options="default")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _apart(item, tables) from error


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


def _apart(item: TaskInput, tables: list[pa.Table]) -> InvalidData:
    """Name the first two partitions that do not fit together."""
    first = tables[0].schema
    for part, table in zip(item.parts[1:], tables[1:], strict=True):
        for field in table.schema:
            place = first.get_field_index(field.name)
            other = first.field(place).type if place >= 0 else None
            if other is not None and other != field.type and not _null(other, field.type):
                return InvalidData(
                    f"Expected partitions of one type, found column {field.name!r} as {other} in "
                    f"{_name(item, item.parts[0])} and as {field.type} in {_name(item, part)}",
                    hint="give the source a schema",
                )
    return InvalidData(
        f"Expected partitions that fit together, found others in {item.asset!r}",
        hint="give the source a schema",
    )


def _null(one: pa.DataType, other: pa.DataType) -> bool:
    return bool(pa.types.is_null(one) or pa.types.is_null(other))


def _name(item: TaskInput, part: Part) -> str:
    return f"{item.asset}[{part.partition}]@{part.version}"
