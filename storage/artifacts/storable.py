"""What Parquet keeps of a table, and the rest of it beside, so that it comes back as it was.

Encodings that are not content are taken off (see `storage.encoding`): tables of equal content are
stored alike. What Parquet would change is noted in the schema's metadata: categories (lost without
rows, without their order, or when they are no strings), seconds, and days as milliseconds.
"""

import base64
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from afresh.assets.errors import InvalidData
from afresh.storage.encoding import (
    categorical_columns,
    categories,
    is_polars_categorical,
    plain,
    unified,
)

_NOTES = b"afresh.stored"
_MOST_LEVELS = 98
"""Parquet's readers take no deeper schema, though it can be written."""


def to_storable(table: pa.Table) -> pa.Table:
    """Give the table that is written. Raises InvalidData for a type that cannot be kept."""
    marked = categorical_columns(table.schema)
    notes: dict[str, Any] = {}
    changed = table
    for place, field in enumerate(table.schema):
        column = table.column(place)
        try:
            if field.name in marked:
                new, notes[field.name] = _categorical(field, column)
            elif is_polars_categorical(field):
                new = _sorted_categories(column)
            else:
                new = _stored(column)
            if _levels(new.type) > _MOST_LEVELS:
                raise unstorable(field)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            raise unstorable(field) from error
        if new.type != field.type:
            changed = changed.set_column(place, field.with_type(new.type), new)
            if field.name not in notes and _loses(field.type):
                notes[field.name] = {"type": _pack(pa.schema([field.remove_metadata()]))}
        elif new is not column:
            changed = changed.set_column(place, field, new)
    if not notes:
        return changed
    metadata = changed.schema.metadata or {}
    return changed.replace_schema_metadata(metadata | {_NOTES: json.dumps(notes)})


def from_stored(table: pa.Table) -> pa.Table:
    """Give the table as it was before `to_storable`, but for encodings. Columns may be missing.

    The notes may be of anybody's making: raises ArrowException, ValueError, LookupError, TypeError.
    """
    metadata = dict(table.schema.metadata or {})
    if _NOTES not in metadata:
        return table
    notes = dict(json.loads(metadata.pop(_NOTES)))
    for place, field in enumerate(table.schema):
        note = notes.get(field.name)
        if note is None:
            continue
        column = table.column(place)
        if "type" in note:
            kind = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(note["type"]))).field(0).type
            column = column.cast(kind)
        else:
            column = _recategorized(column, note)
        table = table.set_column(place, field.with_type(column.type), column)
    return table.replace_schema_metadata(metadata or None)


def unstorable(field: pa.Field) -> InvalidData:
    """Make the error for a column that Parquet has no form for."""
    return InvalidData(
        f"Expected a type that Parquet can hold in column {field.name!r}, found {field.type}",
        hint="convert the column, for example to strings",
    )


def _categorical(
    field: pa.Field, column: pa.ChunkedArray
) -> tuple[pa.ChunkedArray, dict[str, Any]]:
    """Strings stay a dictionary, which other readers understand; else the codes are stored."""
    listed = categories(column)
    text = pa.types.is_string(listed.type) or pa.types.is_large_string(listed.type)
    column = unified(column)
    note = {
        "categories": _pack(pa.record_batch([listed], names=["c"])),
        "ordered": field.type.ordered,
        "codes": not text,
    }
    if text:
        return column, note
    codes = [chunk.indices for chunk in column.chunks]
    return pa.chunked_array(codes, field.type.index_type), note


def _recategorized(column: pa.ChunkedArray, note: dict[str, Any]) -> pa.ChunkedArray:
    with pa.ipc.open_stream(base64.b64decode(note["categories"])) as reader:
        listed = reader.read_all().column(0).combine_chunks()
    listed.validate(full=True)
    if not column.num_chunks:  # categories live in chunks
        column = pa.chunked_array([pa.array([], column.type)])
    if note["codes"]:
        arrays = [
            pa.DictionaryArray.from_arrays(chunk, listed, ordered=note["ordered"])
            for chunk in column.chunks
        ]
        kind = pa.dictionary(column.type, listed.type, note["ordered"])
        return pa.chunked_array(arrays, kind)
    index = column.type.index_type if pa.types.is_dictionary(column.type) else pa.int32()
    kind = pa.dictionary(index, listed.type, note["ordered"])
    arrays = [
        pa.DictionaryArray.from_arrays(
            pc.index_in(plain(chunk).cast(listed.type), value_set=listed).cast(index),
            listed,
            ordered=note["ordered"],
        )
        for chunk in column.chunks
    ]
    return pa.chunked_array(arrays, kind)


def _sorted_categories(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Polars numbers categories as they come up in a process: by value, equal content is equal."""
    values = pa.chunked_array([plain(chunk) for chunk in column.chunks], column.type.value_type)
    listed = pc.unique(values).drop_null()
    listed = listed.take(pc.sort_indices(listed))
    codes = pc.index_in(values, value_set=listed).cast(pa.uint32())
    arrays = [pa.DictionaryArray.from_arrays(chunk, listed) for chunk in codes.chunks]
    return pa.chunked_array(arrays, pa.dictionary(pa.uint32(), listed.type))


def _stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        arrays = [plain(chunk) for chunk in column.chunks]
        column = pa.chunked_array(arrays, arrays[0].type if arrays else kind.value_type)
        kind = column.type
    target = _stored_type(kind)
    return column if target == kind else column.cast(target)


def _stored_type(kind: pa.DataType) -> pa.DataType:
    """Give the type that is written for a type: itself, mostly."""
    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _stored_type(kind.value_type)
    if types.is_nested(kind):
        return _stored_nested(kind)
    if types.is_timestamp(kind) and kind.unit == "s":
        return pa.timestamp("ms", kind.tz)
    if types.is_time32(kind):
        return pa.time32("ms")
    return pa.timestamp("ms") if types.is_date64(kind) else kind


def _stored_nested(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_struct(kind):
        if not kind.num_fields:
            raise pa.ArrowNotImplementedError("a struct without fields")
        return pa.struct([field.with_type(_stored_type(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(_stored_type(kind.key_type), _stored_type(kind.item_type))
    child = getattr(kind, "value_field", None)
    if child is None:
        return kind
    child = child.with_type(_stored_type(child.type))
    if types.is_fixed_size_list(kind):
        if not kind.list_size:  # Parquet writes it, and then cannot read it
            raise pa.ArrowNotImplementedError("lists of no values")
        return pa.list_(child, kind.list_size)
    if types.is_large_list(kind):
        return pa.large_list(child)
    return pa.list_(child) if types.is_list(kind) else kind


def _levels(kind: pa.DataType) -> int:
    """Count the levels that a type adds to a Parquet schema: a list has two, a map's entry one."""
    types = pa.types
    if not types.is_nested(kind):
        return 0
    below = max((_levels(kind.field(place).type) for place in range(kind.num_fields)), default=0)
    return below + (1 if types.is_struct(kind) or types.is_map(kind) else 2)


def _loses(kind: pa.DataType) -> bool:
    """Whether what is stored for the type must be cast back: encodings need not."""
    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _loses(kind.value_type)
    if types.is_nested(kind):
        return any(_loses(kind.field(i).type) for i in range(kind.num_fields))
    return bool(
        (types.is_timestamp(kind) and kind.unit == "s")
        or (types.is_time32(kind) and kind.unit == "s")
        or types.is_date64(kind)
    )


def _pack(item: pa.Schema | pa.RecordBatch) -> str:
    if isinstance(item, pa.Schema):
        return base64.b64encode(item.serialize().to_pybytes()).decode()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, item.schema) as writer:
        writer.write_batch(item)
    return base64.b64encode(sink.getvalue().to_pybytes()).decode()
