"""Parquet files of others. They carry their types."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from afresh.storage.artifacts.storable import from_stored
from afresh.storage.formats.base import Options, check_names, unreadable

MAX_BYTES = 16 << 30
"""What the file says of its size unpacked: more is taken for a trap."""
_THREADS_BYTES = 4 << 20


class Parquet:
    """Columns with types, compressed inside."""

    name = "parquet"
    suffixes = (".parquet", ".pq")
    text = False
    options: frozenset[str] = frozenset()

    def read(self, data: bytes, types: Mapping[str, str], options: Options) -> pa.Table:
        """Decode all of it (see `Format`)."""
        del types, options
        if not len(data):
            raise unreadable("Expected a Parquet file, found an empty file")
        try:
            file = pq.ParquetFile(pa.BufferReader(data))
            names = file.schema_arrow.names
            check_names(names)
            groups = range(file.metadata.num_row_groups)
            size = sum(file.metadata.row_group(group).total_byte_size for group in groups)
            if size > MAX_BYTES:
                raise unreadable(f"Expected at most {MAX_BYTES} bytes unpacked, found {size}")
            table = file.read(use_threads=len(data) > _THREADS_BYTES)
            _check_text(table)
            return from_stored(table)  # of an artifact that somebody copied
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
            raise unreadable(
                f"Expected a Parquet file, found: {error}", hint="the file is damaged or cut off"
            ) from error


def _check_text(table: pa.Table) -> None:
    """Raise UnreadableData for text that is none: the file's word for it is not enough."""
    for name, column in zip(table.column_names, table.itercolumns(), strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise unreadable(f"Expected {column.type}, found: {error}", column=name) from error
