"""Parquet files of others: what they say of themselves need not be so."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from afresh.assets.errors import UnreadableData
from afresh.assets.frames import to_given, to_table
from afresh.storage.artifacts.store import write_table
from afresh.storage.formats.parquet import Parquet


def test_text_that_is_none_is_refused_by_its_column() -> None:
    offsets = pa.array([0, 2], pa.int32()).buffers()[1]
    broken = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff\xff"))
    file = io.BytesIO()
    pq.write_table(pa.table({"fine": ["a"], "broken": broken}), file)
    with pytest.raises(UnreadableData, match=r"found: .*UTF8.* in column 'broken'"):
        Parquet().read(file.getvalue(), {}, {})


def test_an_artifact_that_is_copied_is_what_it_was(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": pd.Categorical([3, 1], categories=[9, 3, 1])})
    path = tmp_path / "a.parquet"
    write_table(to_table(frame), str(path))
    table = to_table(Parquet().read(path.read_bytes(), {}, {}))
    pd.testing.assert_frame_equal(to_given(table, "pandas"), frame)


def packed(schema: pa.Schema, *batches: pa.RecordBatch) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return base64.b64encode(sink.getvalue().to_pybytes()).decode()


TEXT = pa.schema([("c", pa.string())])
NO_TEXT = pa.StringArray.from_buffers(
    1, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xff")
)


@pytest.mark.parametrize(
    "note",
    [
        7,
        "type",
        {"codes": True},
        {"type": "AAAA"},
        {"codes": True, "ordered": False, "categories": packed(pa.schema([]))},
        {"codes": True, "ordered": False, "categories": packed(TEXT)},
        {
            "codes": True,
            "ordered": False,
            "categories": packed(TEXT, pa.record_batch([NO_TEXT], TEXT)),
        },
    ],
)
def test_notes_that_we_did_not_make_are_refused(note: Any) -> None:
    """They say how a column is to be read as it was: in a file of others they say anything."""
    table = pa.table({"a": pa.array([0], pa.int8())})
    table = table.replace_schema_metadata({"afresh.stored": json.dumps({"a": note})})
    file = io.BytesIO()
    pq.write_table(table, file)
    with pytest.raises(UnreadableData, match="Expected a Parquet file"):
        Parquet().read(file.getvalue(), {}, {})
