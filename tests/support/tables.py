"""Random tables, and the same tables in other encodings."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

INTS = st.integers(-(2**63), 2**63 - 1)
SCALARS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), INTS),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint16(), st.integers(0, 65535)),
    (pa.float64(), st.floats()),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=5)),
    (pa.binary(), st.binary(max_size=5)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.timestamp("us"), st.integers(-(2**40), 2**40)),
    (pa.timestamp("us", "UTC"), st.integers(-(2**40), 2**40)),
    (pa.date32(), st.integers(-1000, 1000)),
    (pa.duration("ms"), st.integers(-(2**40), 2**40)),
    (pa.time64("us"), st.integers(0, 86_399_999_999)),
    (pa.decimal128(9, 2), st.decimals(-9999, 9999, places=2)),
    (pa.null(), st.none()),
]


def _nested(
    children: st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy[Any]]],
) -> st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy[Any]]]:
    def lists(child: tuple[pa.DataType, st.SearchStrategy[Any]]) -> Any:
        values = st.lists(st.none() | child[1], max_size=3)
        return st.sampled_from(
            [
                (pa.list_(child[0]), values),
                (pa.large_list(child[0]), values),
                (pa.list_(child[0], 2), st.lists(st.none() | child[1], min_size=2, max_size=2)),
                (
                    pa.struct([("x", child[0]), ("y", pa.int16())]),
                    st.fixed_dictionaries({"x": st.none() | child[1], "y": st.integers(-9, 9)}),
                ),
                (
                    pa.map_(pa.string(), child[0]),
                    st.lists(st.tuples(st.text(max_size=2), st.none() | child[1]), max_size=2),
                ),
            ]
        )

    return children.flatmap(lists)


TYPED = st.recursive(st.sampled_from(SCALARS), _nested, max_leaves=3)


@st.composite
def arrays(draw: st.DrawFn, rows: int) -> pa.Array:
    """One array of a random, perhaps nested, type."""
    kind, values = draw(TYPED)
    return pa.array(
        draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), kind, from_pandas=False
    )


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 9, max_columns: int = 3) -> pa.Table:
    """A table of random columns; names may be anything that UTF-8 holds."""
    rows = draw(st.integers(0, max_rows))
    names = draw(st.lists(st.text(max_size=4), min_size=1, max_size=max_columns, unique=True))
    return pa.table({name: draw(arrays(rows)) for name in names})


def dirty(array: pa.Array) -> pa.Array:
    """The same array with other garbage in its null slots, where that is possible."""
    kind = array.type
    if pa.types.is_null(kind) or pa.types.is_nested(kind) or not len(array):
        return array
    valid = [value for value in array if value.is_valid]
    if not valid:
        return array
    filled = pc.if_else(array.is_valid(), array, valid[0])
    bits = pa.array(array.is_valid().to_pylist(), pa.bool_()).buffers()[1]
    return pa.Array.from_buffers(kind, len(filled), [bits, *filled.buffers()[1:]])


def sliced(array: pa.Array) -> pa.Array:
    """The same array at an odd offset in a longer one."""
    around = pa.nulls(3, array.type)
    return pa.concat_arrays([around, array, around]).slice(3, len(array))


def chunked(array: pa.Array) -> pa.ChunkedArray:
    """The same values in chunks of 1, 2, 3 ... rows, an empty one among them."""
    chunks, start, size = [array.slice(0, 0)], 0, 1
    while start < len(array):
        chunks.append(array.slice(start, size))
        start, size = start + size, size + 1
    return pa.chunked_array(chunks, array.type)


def dictionary(array: pa.Array) -> pa.Array:
    """Dictionary encoded, where Arrow can."""
    if pa.types.is_null(array.type):
        return array
    try:
        return array.dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return array


def null_in_dictionary(array: pa.Array) -> pa.Array:
    """Dictionary encoded with the nulls inside the dictionary."""
    try:
        return pc.dictionary_encode(array, null_encoding="encode")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return array


def run_ends(array: pa.Array) -> pa.Array:
    """Run-end encoded, where Arrow can."""
    try:
        return pc.run_end_encode(array)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return array


def widened(array: pa.Array) -> pa.Array:
    """64 bit offsets."""
    wide = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
    if array.type in wide:
        return array.cast(wide[array.type])
    if pa.types.is_list(array.type):
        return pa.array(array.to_pylist(), pa.large_list(array.type.value_type))
    return array


def viewed(array: pa.Array) -> pa.Array:
    """Views, also of lists."""
    views = {pa.string(): pa.string_view(), pa.binary(): pa.binary_view()}
    if array.type in views:
        return array.cast(views[array.type])
    if pa.types.is_list(array.type) and not pa.types.is_nested(array.type.value_type):
        kind = pa.list_view(array.type.value_type)
        return pa.array([None if v is None else v.as_py() for v in array], kind)
    return array


ENCODINGS: list[Callable[[pa.Array], pa.Array | pa.ChunkedArray]] = [
    dirty,
    sliced,
    chunked,
    dictionary,
    null_in_dictionary,
    run_ends,
    widened,
    viewed,
    lambda array: sliced(dirty(array)),
    lambda array: sliced(viewed(array)),
    lambda array: chunked(sliced(dictionary(array))),
]
