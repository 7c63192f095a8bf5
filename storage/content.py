"""The canonical hash of a table by column: identity of content, whatever its encoding.

Equal tables in any chunking, slicing, dictionary or run-end encoding, 32 or 64 bit offsets, views,
file format or garbage in null slots hash equal. Any other value, null, order, name or type hashes
differently: a difference too many costs a run, one too few gives a wrong result.

A (nested) node has three BLAKE3 streams: validity, lengths, values. They are fed by windows of
65,536 rows counted from the start of the column, so chunk boundaries do not matter. A node's
digest is over tag, type, rows, nulls, the three streams and its children's digests.

What a reader is given beside the values is content as well: the pandas dtype and the categories
that a column is marked with (see `assets.marks`), and what its field says in its metadata.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
from blake3 import blake3

from afresh.assets.errors import InvalidData
from afresh.assets.marks import Marks, decode_categories
from afresh.storage.encoding import (
    categorical_columns,
    categories,
    is_polars_categorical,
    own_metadata,
    plain,
)
from afresh.storage.node import LENGTH, TAG, node_of

_WINDOW = 65_536


class Content(NamedTuple):
    """What a table holds: `fingerprint` of the whole, `columns` name to hash (hex)."""

    fingerprint: str
    columns: dict[str, str]


def hash_table(table: pa.Table) -> Content:
    """Hash by column. Of the schema's metadata only the columns' marks count (no pandas index).

    Raises InvalidData for two columns of one name and for types that have no canonical form.
    """
    names = table.column_names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidData(
            f"Expected distinct column names, found {twice!r} {names.count(twice)} times",
            hint="rename one of them",
        )
    ordered = categorical_columns(table.schema)
    marks = Marks.of(table)
    whole = blake3(TAG + struct.pack("<QQ", table.num_rows, len(names)))
    columns: dict[str, str] = {}
    for field, column in zip(table.schema, table.itercolumns(), strict=True):
        text, digest = _hash_column(field, column, categorical=field.name in ordered)
        beside = _beside(field, marks)
        if beside:
            digest = blake3(TAG + struct.pack("<Q", len(beside)) + beside + digest).digest(LENGTH)
        columns[field.name] = digest.hex()
        name = field.name.encode()
        whole.update(struct.pack("<QQ", len(name), len(text)) + name + text + digest)
    return Content(whole.hexdigest(length=LENGTH), columns)


def _hash_column(
    field: pa.Field, column: pa.ChunkedArray, *, categorical: bool
) -> tuple[bytes, bytes]:
    try:
        node = node_of(field.type)
    except NotImplementedError as error:
        raise InvalidData(
            f"Expected a type with a canonical form in column {field.name!r}, found {field.type}",
            hint="convert the column, for example to strings",
        ) from error
    for window in _windows(column):
        node.add(window)
    digest = node.digest()
    if is_polars_categorical(field):
        return b"categorical<%s>" % node.text, blake3(b"categorical" + digest).digest(LENGTH)
    if not categorical:
        return node.text, digest
    # Another category order gives another max() and another groupby: it is content.
    values = categories(column)
    listed = node_of(values.type)
    listed.add(plain(values))
    text = b"categorical<%s,%d>" % (node.text, field.type.ordered)
    return text, blake3(TAG + text + digest + listed.digest()).digest(LENGTH)


def _beside(field: pa.Field, marks: Marks) -> bytes:
    """Say what a reader is given beside the values; b"" for nothing, as in most columns."""
    said = own_metadata(field)
    mark = marks.dtypes.get(field.name)
    if mark is not None:
        said[b"dtype"] = mark.encode()
    packed = marks.categories.get(field.name)
    if packed is not None:  # not as they are packed: another release of Arrow may pack otherwise
        listed = decode_categories(packed)
        node = node_of(listed.type)
        node.add(plain(listed))
        said[b"categories"] = node.text + node.digest()
    return b"".join(
        struct.pack("<QQ", len(key), len(value)) + key + value
        for key, value in sorted(said.items())
    )


def _windows(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """Cut the column at multiples of the window, each piece one plain array."""
    if column.num_chunks == 1 and len(column) <= _WINDOW:
        yield plain(column.chunk(0))
        return
    for start in range(0, len(column), _WINDOW):
        pieces = [plain(chunk) for chunk in column.slice(start, _WINDOW).chunks if len(chunk)]
        yield pieces[0] if len(pieces) == 1 else _concat(pieces)


def _concat(pieces: list[pa.Array]) -> pa.Array:
    try:
        return pa.concat_arrays(pieces)
    except pa.ArrowInvalid:  # more than 2 GiB of text in one window
        wide = pa.large_string() if pa.types.is_string(pieces[0].type) else pa.large_binary()
        return pa.concat_arrays([piece.cast(wide) for piece in pieces])
