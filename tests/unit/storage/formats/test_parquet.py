"""Parquet files of others: what they say of themselves need not be so."""

import io
from pathlib import Path

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
