"""Records without a value, as rows: Kafka writes one where a key is deleted."""

from collections.abc import Sequence

import pyarrow as pa

from afresh.storage.formats.base import Options


def are_rows(options: Options) -> bool:
    """Whether a source asks for them; else they are dead letters."""
    return options.get("tombstones") == "row"


def with_tombstones(
    table: pa.Table, rows: Sequence[int], gone: Sequence[int]
) -> tuple[pa.Table, list[int]]:
    """Add a row of nulls for each record of `gone`, in the order of the records.

    `rows` gives the record of each row; it is given with the table as it is then.
    """
    nulls = [pa.nulls(len(gone), field.type) for field in table.schema]
    whole = pa.concat_tables([table, pa.Table.from_arrays(nulls, schema=table.schema)])
    places = [*rows, *gone]
    order = sorted(range(len(places)), key=places.__getitem__)
    return whole.take(order), [places[each] for each in order]
