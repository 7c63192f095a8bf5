"""One (nested) column while it is hashed: a node for each family of types (see `content`)."""

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from afresh.storage.encoding import plain, plain_type, type_text

TAG = b"afresh-content-1"
"""Names this way of hashing: a change of it changes every digest, never silently some."""

LENGTH = 20
"""Bytes of a digest: 80 bits against collisions, which nobody looks for here."""
_MAX_INT32 = 2**31 - 1
_UINTS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_FLOATS = {2: np.float16, 4: np.float32, 8: np.float64}


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


class Node:
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
        self.children: list[Node] = []

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
        return whole.digest(LENGTH)

    def add_lengths(self, lengths: "np.ndarray[Any, Any]") -> None:
        """Add how long each value is, as 32 bits if all of the window fit."""
        if lengths.dtype != np.int32:
            if lengths.max(initial=0) <= _MAX_INT32:
                lengths = lengths.astype(np.int32)
            else:  # windows of 64 bit lengths must not look like twice as many of 32
                self.wide += 1
                self.lengths.update(struct.pack("<Q", self.windows))
        self.lengths.update(lengths.data.cast("B"))


class _Null(Node):
    def add(self, array: pa.Array) -> None:
        self.rows += len(array)
        self.nulls += len(array)


class _Bool(Node):
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


class _Fixed(Node):
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


class _Bytes(Node):
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


class _List(Node):
    """Lists and maps: a null list counts as one of length 0."""

    def __init__(self, text: bytes, child: Node) -> None:
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


class _FixedList(Node):
    def __init__(self, text: bytes, child: Node) -> None:
        super().__init__(text)
        self.children = [child]

    def feed(self, array: pa.Array, mask: "np.ndarray[Any, Any] | None") -> None:
        del mask
        self.children[0].add(plain(array.flatten()))


class _Struct(Node):
    def __init__(self, text: bytes, children: list[Node]) -> None:
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


def node_of(kind: pa.DataType) -> Node:
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
        return _FixedList(text, node_of(kind.value_type))
    if types.is_list(kind) or types.is_large_list(kind):
        return _List(text, node_of(kind.value_type))
    if types.is_map(kind):
        return _List(text, node_of(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
    if types.is_struct(kind):
        return _Struct(text, [node_of(child.type) for child in kind])
    if types.is_fixed_size_binary(kind) or (types.is_primitive(kind) or types.is_decimal(kind)):
        return _Fixed(text, kind.bit_width // 8, floating=types.is_floating(kind))
    raise NotImplementedError(str(kind))
