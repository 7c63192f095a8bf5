"""Artifacts as tables: written once as Parquet, hashed on the way, read back as they were.

Only worker processes import this: pyarrow is a data library.
"""

from collections.abc import Sequence
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from afresh.assets.errors import ArtifactError, InvalidData
from afresh.storage.artifacts.files import check_hash, create, read_bytes
from afresh.storage.artifacts.storable import from_stored, to_storable, unstorable

_BUFFERED = 64 << 20
"""Tables up to this many bytes are encoded in memory, then written at once: 80 writes less."""
_STATISTICS_ROWS = 65_536
_GROUP_BYTES = 16 << 20
_GROUP_ROWS = 1 << 20
"""A row group has no more: of an artifact some rows are read without the rest."""
_THREADS_BYTES = 4 << 20


class Stored(NamedTuple):
    """What was written: `bytes` counts them, `hash` is theirs (BLAKE3, hex)."""

    uri: str
    bytes: int
    hash: str


def write_table(table: pa.Table, uri: str) -> Stored:
    """Write a new artifact, durable at return: file and folder are synced.

    Raises InvalidData for a column that Parquet has no form for, ArtifactError when it cannot be
    written (then nothing is left) or exists already.
    """
    table = to_storable(table)
    # 900 rows of 19 columns: snappy 0.7 ms, zstd 1.3, and any reader knows it. Statistics help
    # readers that skip row groups; a small table has one.
    options = {
        "compression": "snappy",
        "write_statistics": table.num_rows > _STATISTICS_ROWS,
        "row_group_size": _group_rows(table),
    }
    with create(uri) as file:
        sink = _Sink(file)
        try:
            if table.nbytes <= _BUFFERED:
                buffer = pa.BufferOutputStream()
                pq.write_table(table, buffer, **options)
                sink.write(buffer.getvalue())
            else:
                pq.write_table(table, pa.PythonFile(sink, mode="w"), **options)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            raise _explained(table, error) from error
    return Stored(uri, sink.count, sink.hash.hexdigest())


def _group_rows(table: pa.Table) -> int:
    pieces = max(1, -(-int(table.nbytes) // _GROUP_BYTES))
    return min(_GROUP_ROWS, max(1, -(-int(table.num_rows) // pieces)))


def _explained(table: pa.Table, error: Exception) -> InvalidData:
    """Find the column that Parquet refuses."""
    for field in table.schema:
        try:
            pq.write_table(table.select([field.name]).slice(0, 0), pa.BufferOutputStream())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            return unstorable(field)
    return InvalidData(f"Expected a table that Parquet can hold, found: {error}")


class _Sink:
    """Hashes and counts what passes through to a file; as much of a file as pyarrow asks for."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = blake3()
        self.count = 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.hash.update(view)
        self._file.write(view)
        self.count += len(view)
        return len(view)

    def tell(self) -> int:
        return self.count

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Leave that to who opened the file."""

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def read_table(
    uri: str,
    columns: Sequence[str] | None = None,
    verify_hash: str | None = None,
    *,
    absent: bool = False,
    rows: tuple[int, int] | None = None,
) -> pa.Table:
    """Read an artifact, or the named columns of it in the given order.

    `rows` are the first to read and how many: no more is decoded than the groups that they are in.
    With `verify_hash` the very bytes that are decoded are compared with it; with `absent` columns
    may be absent. Raises ArtifactError: it is absent, damaged, not what was stored, or has no such
    column.
    """
    # Read whole, never mapped: a mapped file that is cut off would kill the process.
    data = read_bytes(uri)
    if verify_hash is not None:
        check_hash(uri, verify_hash, blake3(data).hexdigest())
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        if columns is not None and absent:
            columns = [name for name in columns if name in names]
        wanted = None if columns is None else _present(columns, names, uri)
        table = _decode(file, wanted, rows, threads=len(data) > _THREADS_BYTES)
        if wanted is not None:
            table = table.select(wanted)
        return from_stored(table)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ArtifactError(
            f"Expected a Parquet artifact, found: {error} in {uri!r}",
            hint="it is damaged; rebuild it with `afresh materialize --force`",
        ) from error


def _decode(
    file: pq.ParquetFile, columns: list[str] | None, rows: tuple[int, int] | None, *, threads: bool
) -> pa.Table:
    if rows is None:
        return file.read(columns=columns, use_threads=threads)
    first, count = rows
    groups: list[int] = []
    start = at = 0
    for group in range(file.metadata.num_row_groups):
        end = at + file.metadata.row_group(group).num_rows
        if at < first + count and end > first:
            start = start if groups else at
            groups.append(group)
        at = end
    table = file.read_row_groups(groups, columns=columns, use_threads=threads)
    return table.slice(first - start if groups else 0, count)


def _present(columns: Sequence[str], names: Sequence[str], uri: str) -> list[str]:
    missing = [name for name in columns if name not in names]
    if missing:
        raise ArtifactError(
            f"Expected column {missing[0]!r}, found {', '.join(map(repr, names))} in {uri!r}"
        )
    return list(columns)
