"""Small segments of a stream become one artifact, beside the work of a task."""

import logging
from collections.abc import Iterator, Sequence

import pyarrow as pa

from afresh.daemon.workers.task import Merge, Merged
from afresh.storage.artifacts.store import read_table, write_table
from afresh.storage.content import hash_table

_log = logging.getLogger("afresh.run")


def merge_segments(merges: Sequence[Merge]) -> tuple[Merged, ...]:
    """Do what can be done of it: a stream with many segments is slower to read, nothing else."""
    return tuple(_merged(merges))


def _merged(merges: Sequence[Merge]) -> Iterator[Merged]:
    for merge in merges:
        try:
            yield _merge(merge)
        except Exception as error:  # noqa: BLE001 - the version does not depend on it
            _log.info("segments of %s stay as they are: %s", merge.asset, error)


def _merge(merge: Merge) -> Merged:
    tables = [read_table(part.uri, None, part.hash) for part in merge.parts]
    for table in tables[1:]:
        if not table.schema.equals(tables[0].schema, check_metadata=True):
            raise ValueError("their columns differ")
    table = pa.concat_tables(tables).combine_chunks()
    content = hash_table(table)
    stored = write_table(table, merge.uri)
    return Merged(
        merge.asset,
        stored.uri,
        content.fingerprint,
        content.columns,
        table.num_rows,
        stored.bytes,
        stored.hash,
    )
