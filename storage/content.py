"""The canonical hash of a table by column: identity of content, whatever its encoding (TRAPS).

Equal tables in any chunking, slicing, dictionary or run-end encoding, 32 or 64 bit offsets, views,
file format or garbage in null slots hash equal. Any other value, null, order, name or type hashes
differently: a difference too many costs a run, one too few gives a wrong result.

A (nested) node has three BLAKE3 streams: validity, lengths, values. They are fed by windows of
65,536 rows counted from the start of the column, so chunk boundaries do not matter. A node's
digest is over tag, type, rows, nulls, the three streams and its children's digests.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from afresh.assets.errors import InvalidData
from afresh.storage.encoding import (
    categorical_columns,
    categories,
    is_polars_categorical,
    plain,
    plain_type,
    type_text,
)

TAG = b"afresh-content-1"
"""Names this way of hashing: a change of it changes every digest, never silently some."""

_WINDOW = 65_536
_LENGTH = 20
_MAX_INT32 = 2**31 - 1
_UINTS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_FLOATS = {2: np.float16, 4: np.float32, 8: np.float64}


class Content(NamedTuple):
    """What a table holds: `fingerprint` of the whole, `columns` name to hash (hex)."""

    fingerprint: str
    columns: dict[str, str]


def hash_table(table: pa.Table) -> Content:
    """Hash by column. Schema metadata (the pandas index too) does not count, but for categoricals.

    Raises InvalidData for two columns of one name and for types that have no canonical form.
    """
    names = table.column_names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidData(
            f"Expected distinct column names, found {twice!r} {names.count(twice)} times",
            hint="rename one of them",
        )
    marked = categorical_columns(table.schema)
    whole = blake3(TAG + struct.pack("<QQ", table.num_rows, len(names)))
    columns: dict[str, str] = {}
    for field, column in zip(table.schema, table.itercolumns(), strict=True):
        text, digest = _hash_column(field, column, categorical=field.name in marked)
        columns[field.name] = digest.hex()
        name = field.name.encode()
        whole.update(struct.pack("<QQ", len(name), len(text)) + name + text + digest)
    return Content(whole.hexdigest(length=_LENGTH), columns)


def _hash_column(
    field: pa.Field, column: pa.ChunkedArray, *, categorical: bool
) -> tuple[bytes, bytes]:
    try:
        node = _node(field.type)
    except NotImplementedError as error:
        raise InvalidData(
            f"Expected a type with a canonical form in column {field.name!r}, found {field.type}",
            hint="convert the column, for example to strings",
        ) from error
    for window in _windows(column):
        node.add(window)
    digest = node.digest()
    if is_polars_categorical(field):
        return b"categorical<%s>" % node.text, blake3(b"categorical" + digest).digest(_LENGTH)
    if not categorical:
        return node.text, digest
    # Another category order gives another max() and another groupby: it is content.
    values = categories(column)
    listed = _node(values.type)
    listed.add(plain(values))
    text = b"categorical<%s,%d>" % (node.text, field.type.ordered)
    return text, blake3(TAG + text + digest + listed.digest()).digest(_LENGTH)


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


def _mask(array: pa.Array) -> "np.ndarray[Any, Any]":
    """Which rows are valid, as booleans. Only for arrays that have nulls."""
    buffer = array.buffers()[0]
    if buffer is None:
        return np.zeros(len(array), np.bool_)
    first = array.offset // 8
    skip = array.offset - first * 8
    packed = np.frombuffer(buffer, np.uint8)[first : first + (skip + len(array) + 7) // 8]
    bits = np.unpackbits(packed, bitorder="little")[skip : skip + len(array)]
    return bits.view(np.bool_)


class _Node:
    """One (nested) column while it is hashed."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.rows = 0
        self.nulls = 0
        self.wide = 0
        self.windows = 0
        self.validity = blake3()
        self.lengths = blake3()
        self.values = blake3()
        self.children: list[_Node] = []

    def add(self, array: pa.Array) -> None:
        """Take the next window, a plain array."""
        self.rows += len(array)
        self.windows += 1
        mask = None
        if array.null_count:
            self.nulls += array.null_count
            mask = _mask(array)
            # Windows without nulls add nothing, so each that has some says which it is.
            self.validity.update(struct.pack("<Q", self.windows))
            self.validity.update(np.packbits(mask, bitorder="little").data)
        if len(array):
            self.feed(array, mask)

    def feed(self, array: pa.Array, mask: "np.ndarray[Any, Any] | None") -> None:
        """Add lengths, values and children. `mask` is given when there are nulls."""
        raise NotImplementedError

    def digest(self) -> bytes:
        """Give the digest, after all windows."""
        head = struct.pack("<QQQQ", len(self.text), self.rows, self.nulls, self.wide)
        whole = blake3(TAG + head + self.text + self.validity.digest() + self.lengths.digest())
        whole.update(self.values.digest())
        for child in self.children:
            whole.update(child.digest())
        return whole.digest(_LENGTH)

    def add_lengths(self, lengths: "np.ndarray[Any, Any]") -> None:
        if lengths.dtype != np.int32:
            if lengths.max(initial=0) <= _MAX_INT32:
                lengths = lengths.astype(np.int32)
            else:  # windows of 64 bit lengths must not look like twice as many of 32
                self.wide += 1
                self.lengths.update(struct.pack("<Q", self.windows))
        self.lengths.update(lengths.data.cast("B"))


class _Null(_Node):
    def add(self, array: pa.Array) -> None:
        self.rows += len(array)
        self.nulls += len(array)


class _Bool(_Node):
    def feed(self, array: pa.Array, mask: "np.ndarray[Any, Any] | None") -> None:
        bits = _mask(
            pa.BooleanArray.from_buffers(
                pa.bool_(),
                len(array),
                [array.buffers()[1], array.buffers()[1]],
                offset=array.offset,
            )
        )
        if mask is not None:
            bits = bits & mask
        self.values.update(np.packbits(bits, bitorder="little").data)


class _Fixed(_Node):
    def __init__(self, text: bytes, width: int, *, floating: bool) -> None:
        super().__init__(text)
        self.width = width
        self.float = _FLOATS[width] if floating else None

    def feed(self, array: pa.Array, mask: "np.ndarray[Any, Any] | None") -> None:
        width = self.width
        buffer = array.buffers()[1]
        start = array.offset * width
        if buffer is None or not width:  # nothing but nulls, or values without bytes
            self.values.update(bytes(width * len(array)))
            return
        view = memoryview(buffer)[start : start + width * len(array)]
        if mask is not None:
            view = self._zeroed(view, mask)
        if self.float is not None:
            view = self._one_nan(view)
        self.values.update(view)

    def _zeroed(self, view: memoryview, mask: "np.ndarray[Any, Any]") -> memoryview:
        """Null slots may hold anything: they count as zero."""
        if self.width in _UINTS:
            values = np.frombuffer(view, _UINTS[self.width])
            return memoryview(values * mask).cast("B")
        rows = np.frombuffer(view, np.uint8).reshape(-1, self.width)
        return memoryview(rows * mask[:, None]).cast("B")

    def _one_nan(self, view: memoryview) -> memoryview:
        values = np.frombuffer(view, self.float)
        nans = np.isnan(values)
        if not nans.any():
            return view
        values = values.copy()
        values[nans] = np.nan
        one: memoryview = values.data.cast("B")
        return one


class _Bytes(_Node):
    """Strings and binary, with 32 or 64 bit offsets."""

    def __init__(self, text: bytes, empty: pa.Scalar) -> None:
        super().__init__(text)
        self.empty = empty

    def feed(self, array: pa.Array, mask: "np.ndarray[Any, Any] | None") -> None:
        offsets = _offsets(array)
        lengths = np.diff(offsets)
        if mask is not None and lengths[~mask].any():
            array = pc.fill_null(array, self.empty.cast(array.type))
            offsets = _offsets(array)
            lengths = np.diff(offsets)
        self.add_lengths(lengths)
        data = array.buffers()[2]
        if data is not None:
            self.values.update(memoryview(data)[offsets[0] : offsets[-1]])


class _List(_Node):
    """Lists and maps: a null list counts as one of length 0."""

    def __init__(self, text: bytes, child: _Node) -> None:
        super().__init__(text)
        self.children = [child]

    def feed(self, array: pa.Array, mask: "np.ndarray[Any, Any] | None") -> None:
        offsets = _offsets(array)
        lengths = np.diff(offsets)
        if mask is None:
            values = array.values.slice(offsets[0], offsets[-1] - offsets[0])
        else:
            lengths = lengths * mask
            values = _beneath(array, offsets, mask)
        self.add_lengths(lengths)
        self.children[0].add(plain(values))


class _FixedList(_Node):
    def __init__(self, text: bytes, child: _Node) -> None:
        super().__init__(text)
        self.children = [child]

    def feed(self, array: pa.Array, mask: "np.ndarray[Any, Any] | None") -> None:
        del mask
        self.children[0].add(plain(array.flatten()))


class _Struct(_Node):
    def __init__(self, text: bytes, children: list[_Node]) -> None:
        super().__init__(text)
        self.children = children

    def feed(self, array: pa.Array, mask: "np.ndarray[Any, Any] | None") -> None:
        del mask
        # flatten() makes what lies beneath a null struct null.
        for child, values in zip(self.children, array.flatten(), strict=True):
            child.add(plain(values))


def _beneath(
    array: pa.Array, offsets: "np.ndarray[Any, Any]", mask: "np.ndarray[Any, Any]"
) -> pa.Array:
    """Give the values of all lists that are not null: beneath a null one there may be anything."""
    values = array.values.slice(offsets[0], offsets[-1] - offsets[0])
    lengths = np.diff(offsets)
    if not lengths[~mask].any():
        return values
    return values.filter(pa.array(np.repeat(mask, lengths)))


def _offsets(array: pa.Array) -> "np.ndarray[Any, Any]":
    kind = array.type
    wide = pa.types.is_large_list(kind) or pa.types.is_large_string(kind)
    width = np.int64 if wide or pa.types.is_large_binary(kind) else np.int32
    everything = np.frombuffer(array.buffers()[1], width)
    return everything[array.offset : array.offset + len(array) + 1]


def _node(kind: pa.DataType) -> _Node:
    """Make the node for a declared type: encodings and extensions are looked through.

    Raises NotImplementedError for types without a canonical form (unions).
    """
    text = type_text(kind)
    kind = plain_type(kind)
    types = pa.types
    if types.is_null(kind):
        return _Null(text)
    if types.is_boolean(kind):
        return _Bool(text)
    if types.is_string(kind) or types.is_large_string(kind):
        return _Bytes(text, pa.scalar("", pa.large_string()))
    if types.is_binary(kind) or types.is_large_binary(kind):
        return _Bytes(text, pa.scalar(b"", pa.large_binary()))
    if types.is_fixed_size_list(kind):
        return _FixedList(text, _node(kind.value_type))
    if types.is_list(kind) or types.is_large_list(kind):
        return _List(text, _node(kind.value_type))
    if types.is_map(kind):
        return _List(text, _node(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
    if types.is_struct(kind):
        return _Struct(text, [_node(child.type) for child in kind])
    if types.is_fixed_size_binary(kind) or (types.is_primitive(kind) or types.is_decimal(kind)):
        return _Fixed(text, kind.bit_width // 8, floating=types.is_floating(kind))
    raise NotImplementedError(str(kind))
