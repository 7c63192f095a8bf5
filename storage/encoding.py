"""Encodings of Arrow arrays: which are only storage, and the plain array behind them.

A dictionary says one of two things: storage (writers choose it freely), or a categorical, whose
list of categories is content. Only marks tell them apart: the pandas metadata of the schema,
the `ordered` flag, or a polars Enum (which sets it). A polars Categorical has no order of its own:
its values and that it is one are content, its physical order is not.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

POLARS_CATEGORICAL = (b"_PL_CATEGORICAL", b"_PL_CATEGORICAL2")


def categorical_columns(schema: pa.Schema) -> frozenset[str]:
    """Name the dictionary columns whose ordered categories are content."""
    dictionaries = [field for field in schema if pa.types.is_dictionary(field.type)]
    if not dictionaries:
        return frozenset()
    pandas = _pandas_categoricals(schema)
    return frozenset(
        field.name
        for field in dictionaries
        if field.type.ordered or (field.name in pandas and not is_polars_categorical(field))
    )


def is_polars_categorical(field: pa.Field) -> bool:
    """Whether polars marked the field as a Categorical."""
    return any(mark in (field.metadata or {}) for mark in POLARS_CATEGORICAL)


def own_metadata(field: pa.Field) -> dict[bytes, bytes]:
    """Give what a field says in its metadata, without what polars and Parquet note there."""
    said = field.metadata or {}
    return {key: said[key] for key in said if not key.startswith((b"_PL_", b"PARQUET:"))}


def _pandas_categoricals(schema: pa.Schema) -> frozenset[str]:
    try:
        columns = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("columns", [])
        return frozenset(
            column["field_name"] for column in columns if column["pandas_type"] == "categorical"
        )
    except (ValueError, KeyError, TypeError, AttributeError):  # metadata of somebody else's making
        return frozenset()


def categories(column: pa.ChunkedArray) -> pa.Array:
    """Give the ordered categories of a categorical column."""
    if column.num_chunks == 0:
        return pa.array([], column.type.value_type)
    return unified(column).chunk(0).dictionary


def unified(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give all chunks of a dictionary column one dictionary."""
    if column.num_chunks < 2 or pa.types.is_null(column.type.value_type):
        return column  # Arrow does not unify dictionaries of nulls: there is nothing in them
    return column.unify_dictionaries()


def plain(array: pa.Array) -> pa.Array:
    """Take dictionary, run ends, view or extension off the array; children are left."""
    kind = array.type
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return plain(array.storage)
    if types.is_dictionary(kind):
        if isinstance(kind.value_type, pa.BaseExtensionType):
            storage = array.dictionary.storage
            array = pa.DictionaryArray.from_arrays(array.indices, storage)
        return plain(array.dictionary_decode())
    if types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array))
    if types.is_string_view(kind):
        return array.cast(pa.large_string())
    if types.is_binary_view(kind):
        return array.cast(pa.large_binary())
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        return _list_of_view(array)
    return array


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Give the type that `plain` gives."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        return pa.large_list(kind.value_type)
    return kind


def _list_of_view(array: pa.Array) -> pa.Array:
    """Make a list view a large list. Arrow's own cast (26.0) goes wrong where there are nulls."""
    offsets = np.asarray(array.offsets, np.int64)
    valid = np.asarray(array.is_valid())
    lengths = np.asarray(array.sizes, np.int64) * valid
    ends = np.concatenate(([0], np.cumsum(lengths)))
    picks = np.repeat(offsets - ends[:-1], lengths) + np.arange(ends[-1])
    values = plain(array.values).take(pa.array(picks))
    return pa.LargeListArray.from_arrays(pa.array(ends), values, mask=pa.array(~valid))


def type_text(kind: pa.DataType) -> bytes:
    """Give the canonical name of a type: one for all encodings of the same values."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return b"extension<%s,%s>" % (_extension_text(kind), type_text(kind.storage_type))
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return type_text(kind.value_type)
    kind = plain_type(kind)
    if types.is_string(kind) or types.is_large_string(kind):
        return b"string"
    if types.is_binary(kind) or types.is_large_binary(kind):
        return b"binary"
    if types.is_fixed_size_list(kind):
        return b"list[%d]<%s>" % (kind.list_size, type_text(kind.value_type))
    if types.is_list(kind) or types.is_large_list(kind):
        return b"list<%s>" % type_text(kind.value_type)
    if types.is_map(kind):
        return b"map<%s,%s>" % (type_text(kind.key_type), type_text(kind.item_type))
    if types.is_struct(kind):
        return b"struct<%s>" % b",".join(_field_text(child) for child in kind)
    return str(kind).encode()


def _field_text(field: pa.Field) -> bytes:
    name = field.name.encode()
    return b"%d:%s:%s" % (len(name), name, type_text(field.type))


def _extension_text(kind: Any) -> bytes:
    """Name and parameters, as the extension serializes them (pandas' period: its unit)."""
    serialize = getattr(kind, "__arrow_ext_serialize__", None)
    parameters = serialize() if serialize is not None else str(kind).encode()
    return b"%s:%d:%s" % (kind.extension_name.encode(), len(parameters), parameters)
