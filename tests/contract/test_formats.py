"""What every format keeps: what is read is what was written, and an error says where."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.errors import UnreadableData, UsageError
from afresh.storage.content import hash_table
from afresh.storage.formats.base import Format, check_options
from afresh.storage.formats.registry import FORMATS, detect
from afresh.storage.formats.source_file import read_source

TYPES = {
    "id": "string",
    "n": "int64",
    "x": "float64",
    "flag": "bool",
    "at": "timestamp[us]",
    "day": "date",
}
KINDS = {
    "id": pa.string(),
    "n": pa.int64(),
    "x": pa.float64(),
    "flag": pa.bool_(),
    "at": pa.timestamp("us"),
    "day": pa.date32(),
}


def write_csv(table: pa.Table) -> bytes:
    rows = [",".join(quoted(name) for name in table.column_names)]
    rows += [",".join(map(csv_field, row.values())) for row in table.to_pylist()]
    return ("\n".join(rows) + "\n").encode()


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def csv_field(value: object) -> str:
    if value is None:
        return ""
    return quoted(value) if isinstance(value, str) else str(value)


def write_jsonl(table: pa.Table) -> bytes:
    lines = [json.dumps(row, default=str) + "\n" for row in table.to_pylist()]
    return "".join(lines).encode()


def write_parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def write_arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def write_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@dataclass(frozen=True)
class Case:
    """A format with an independent way to write it."""

    name: str
    write: Callable[[pa.Table], bytes]
    suffix: str

    @property
    def kind(self) -> Format:
        return next(known for known in FORMATS if known.name == self.name)

    def read(self, data: bytes, types: Mapping[str, str] = TYPES) -> pa.Table:
        return self.kind.read(data, types, {"empty": True} if self.name == "csv" else {})


CASES = [
    Case("csv", write_csv, ".csv"),
    Case("jsonl", write_jsonl, ".jsonl"),
    Case("parquet", write_parquet, ".parquet"),
    Case("arrow", write_arrow, ".arrow"),
    Case("arrow", write_stream, ".arrows"),
]


@pytest.fixture(params=CASES, ids=lambda case: case.suffix)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none()
            | st.sampled_from(["007", "NA", "", "null", "1e5", "a\nb", '"', ","])
            | TEXT,
            "n": st.none() | st.integers(-(2**63), 2**63 - 1),
            "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "flag": st.none() | st.booleans(),
            "at": st.none() | st.datetimes(),
            "day": st.none() | st.dates(),
        }
    ),
    max_size=8,
)


def table_of(rows: list[dict[str, object]]) -> pa.Table:
    return pa.table(
        {name: pa.array([row[name] for row in rows], kind) for name, kind in KINDS.items()}
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.suffix)
@given(rows=ROWS)
def test_what_is_read_is_what_was_written(case: Case, rows: list[dict[str, object]]) -> None:
    table = table_of(rows)
    read = case.read(case.write(table))
    assert hash_table(read) == hash_table(table)


def refusal(case: Case, data: bytes, types: Mapping[str, str]) -> str:
    """Give what a reader says of the data, "" if it takes it; any other exception fails."""
    try:
        case.read(data, types)
    except UnreadableData as error:
        return error.error
    return ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.suffix)
@given(data=st.binary(max_size=64))
def test_garbage_is_read_or_refused_as_unreadable(case: Case, data: bytes) -> None:
    for types in (TYPES, {}):
        said = refusal(case, data, types)
        assert said.startswith("Expected") or not said
        assert said.isprintable()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.suffix)
@given(data=st.data())
def test_damage_is_read_or_refused_as_unreadable(case: Case, data: st.DataObject) -> None:
    raw = bytearray(case.write(pa.table({"id": ["007", None, "NA"], "n": [1, 2, None]})))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(raw), len(raw) - 1, len(raw) // 2]))
    assert refusal(case, bytes(raw[:cut]), TYPES).isprintable()


def test_text_stays_text(case: Case) -> None:
    texts = ["007", "NA", None, "1.50", "true", "2020-01-01"]
    table = pa.table({"id": texts, "n": range(6)})
    assert case.read(case.write(table))["id"].to_pylist() == table["id"].to_pylist()


def test_an_empty_file_is_named(case: Case) -> None:
    with pytest.raises(UnreadableData, match="found an empty file"):
        case.read(b"", {})


def test_a_column_that_nobody_declared_is_read(case: Case) -> None:
    read = case.read(case.write(pa.table({"id": ["1"], "more": ["x"]})))
    assert read.column_names == ["id", "more"]
    assert read["more"].to_pylist() == ["x"]


def test_a_declared_column_that_is_missing_is_left_to_the_schema(case: Case) -> None:
    read = case.read(case.write(pa.table({"n": [1, 2]})))
    assert read.column_names == ["n"]


def test_no_rows_are_a_table(case: Case) -> None:
    read = case.read(case.write(table_of([])))
    assert read.num_rows == 0
    assert read.schema.types == list(KINDS.values())


def test_types_are_inferred_over_all_rows(case: Case) -> None:
    values = ["1"] * 100_000 + ["x"]
    read = case.read(case.write(pa.table({"a": values})), {})
    assert read["a"].to_pylist() == values


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)
def test_a_compressed_file_is_the_same(
    case: Case, suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    table = pa.table({"id": ["007", "NA", None], "n": [1, 2, None]})
    data = case.write(table)
    path = tmp_path / f"d{case.suffix}{suffix}"
    path.write_bytes(pack(data))
    assert read_source(str(path), types=TYPES).table.equals(table)
    path.write_bytes(pack(data)[:-3])
    with pytest.raises(UnreadableData, match="found") as caught:
        read_source(str(path), types=TYPES)
    assert caught.value.where == str(path)


def test_an_unknown_option_is_named(case: Case) -> None:
    with pytest.raises(UsageError, match="found 'delimeter'"):
        check_options(case.kind, {"delimeter": ";"})


def test_the_name_tells_the_format(case: Case) -> None:
    assert detect(f"a.b{case.suffix}")[0].name == case.name
    assert detect(f"A{case.suffix.upper()}.GZ") == (case.kind, "gzip")
    assert detect("whatever.dat", case.name) == (case.kind, "")
    assert detect("whatever.xz", case.name) == (case.kind, "xz")
