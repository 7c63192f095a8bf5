"""Content identity: equal tables hash equal in any encoding, other tables do not."""

import io
import math

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import assume, given

from afresh.storage.content import hash_table
from support.tables import ENCODINGS, arrays, tables


@given(tables(), st.data())
def test_the_encoding_is_not_content(table: pa.Table, data: st.DataObject) -> None:
    columns = []
    for column in table.itercolumns():
        encode = data.draw(st.sampled_from(ENCODINGS))
        columns.append(encode(column.combine_chunks()))
    other = pa.table(dict(zip(table.column_names, columns, strict=True)))
    assert hash_table(other) == hash_table(table)


@given(tables())
def test_a_round_trip_through_files_is_the_same_content(table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    assert hash_table(pa.ipc.open_file(sink.getvalue()).read_all()) == hash_table(table)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=4)
    assert hash_table(pq.ParquetFile(buffer).read()) == hash_table(table)


@given(tables())
def test_polars_gives_back_the_same_content(table: pa.Table) -> None:
    odd = (pa.types.is_map, pa.types.is_fixed_size_binary, pa.types.is_nested)
    table = table.select([f.name for f in table.schema if not any(is_(f.type) for is_ in odd)])
    table = table.select([f.name for f in table.schema if f.type != pa.decimal128(9, 2)])
    assume(table.num_columns)
    table = table.rename_columns([f"c{i}" for i in range(table.num_columns)])  # "" is not kept
    back = pl.from_arrow(table).to_arrow()
    kept = [f.name for f in table.schema if f.type != pa.time64("us")]  # polars counts time in ns
    assert hash_table(back.select(kept)) == hash_table(table.select(kept))


def _same(one: object, two: object) -> bool:
    """Equality as identity wants it: one NaN, two zeros."""
    if isinstance(one, float) and isinstance(two, float):
        if math.isnan(one) or math.isnan(two):
            return math.isnan(one) and math.isnan(two)
        return one == two and math.copysign(1, one) == math.copysign(1, two)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    return type(one) is type(two) and one == two


@given(st.data(), st.integers(1, 6))
def test_equal_values_and_only_they_hash_equal(data: st.DataObject, rows: int) -> None:
    one = data.draw(arrays(rows))
    values = one.to_pylist()
    other = values[:]
    place = data.draw(st.integers(0, rows - 1))
    pool = data.draw(arrays(rows).filter(lambda a: a.type == one.type) | st.just(one)).to_pylist()
    other[place] = data.draw(st.sampled_from([*pool, None]))
    two = pa.array(other, one.type, from_pandas=False)
    equal = hash_table(pa.table({"a": one})) == hash_table(pa.table({"a": two}))
    assert equal == _same(values, other)


@given(tables(), st.data())
def test_the_order_of_rows_and_columns_and_the_names_are_content(
    table: pa.Table, data: st.DataObject
) -> None:
    content = hash_table(table)
    order = data.draw(st.permutations(range(table.num_rows)))
    moved = pa.table(
        {
            name: pa.array([column.to_pylist()[i] for i in order], column.type, from_pandas=False)
            for name, column in zip(table.column_names, table.itercolumns(), strict=True)
        }
    )
    same = _same(
        [list(r.values()) for r in moved.to_pylist()], [list(r.values()) for r in table.to_pylist()]
    )
    assert (hash_table(moved) == content) == same
    renamed = table.rename_columns([name + "x" for name in table.column_names])
    assert hash_table(renamed).fingerprint != content.fingerprint
    if table.num_columns > 1:
        turned = table.select(table.column_names[::-1])
        assert hash_table(turned).columns == content.columns
        assert hash_table(turned).fingerprint != content.fingerprint


@given(tables())
def test_the_number_of_rows_is_content(table: pa.Table) -> None:
    longer = pa.concat_tables([table, table.slice(0, 1)]) if table.num_rows else None
    assume(longer is not None)
    before, after = hash_table(table).columns, hash_table(longer).columns
    assert before.keys() == after.keys()
    assert not before.items() & after.items()
