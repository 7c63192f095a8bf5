"""CSV as it comes: what is wrong is said with row and column."""

import csv
import time
from typing import Any

import pyarrow as pa
import pytest

from afresh.assets.errors import UnreadableData, UsageError
from afresh.storage.formats.csv import MAX_COLUMNS, Csv
from afresh.storage.formats.source_file import decode_source

TYPES = {"id": "string", "n": "int64", "x": "float64"}


def read(text: str | bytes, types: dict[str, str] | None = None, **options: Any) -> pa.Table:
    data = text.encode() if isinstance(text, str) else text
    return Csv().read(data, TYPES if types is None else types, options)


def error(text: str | bytes, types: dict[str, str] | None = None, **options: Any) -> str:
    data = text.encode() if isinstance(text, str) else text
    types = TYPES if types is None else types
    with pytest.raises(UnreadableData) as caught:
        decode_source(data, "it.csv", "", types, options, where="it.csv")
    return caught.value.error


def test_nulls_are_the_empty_field_and_nothing_else() -> None:
    table = read('id,n\n007,1\nNA,\n,3\n"",4\nnull,5\n')
    assert table.to_pydict() == {"id": ["007", "NA", None, "", "null"], "n": [1, None, 3, 4, 5]}


def test_other_nulls_are_told() -> None:
    assert read("id,n\nNA,-\n,1\n", nulls="NA|-")["id"].to_pylist() == [None, ""]
    assert read("id,n\nNA,-\n,1\n", nulls="|NA|-").to_pydict() == {
        "id": [None, None],
        "n": [None, 1],
    }


def test_a_ragged_row_is_named() -> None:
    assert error("id,n\na,1\nb\n") == "Expected 2 columns, found 1 in row 2 (line 3)"
    assert error("id,n\na,1\nb,2,3\n") == "Expected 2 columns, found 3 in row 2 (line 3)"


def test_a_wrong_type_is_named() -> None:
    assert error("id,n\na,1\nb,x1\n") == "Expected int64, found 'x1' in row 2 (line 3), column 'n'"
    assert error("id,n\na,1.5\n") == "Expected int64, found '1.5' in row 1 (line 2), column 'n'"
    assert error('id,n\n"a\nb",1\nc,\x1b[2J\n') == (
        "Expected int64, found '\\x1b[2J' in row 2 (line 4), column 'n'"
    )
    assert error("id,n\na," + "9" * 500 + "\n").startswith("Expected int64, found '9999")


def test_the_row_is_known_in_a_file_that_is_read_by_threads() -> None:
    rows = "".join(f"text{i},{i}\n" for i in range(500_000))
    told = error("id,n\n" + rows + "b,x\n")
    assert told.endswith("found 'x' in row 500001 (line 500002), column 'n'")


def test_another_encoding_is_named_with_its_place() -> None:
    text = "id,n\na,1\né,2\n".encode("latin-1")
    assert error(text) == "Expected text in utf-8, found byte 0xe9 at offset 9 in line 3"
    assert error(text, {}) == error(text)
    assert error("é,n\na,1\n".encode("latin-1")).endswith("byte 0xe9 at offset 0 in line 1")
    assert read(text, encoding="latin-1")["id"].to_pylist() == ["a", "é"]
    assert "utf-16" in error("id,n\na,1\n".encode("utf-16"))
    assert read("id,n\né,1\n".encode("utf-16"), encoding="utf-16")["id"].to_pylist() == ["é"]
    assert error(b"id,n\na,1\n\xff,2\n", encoding="utf-16").startswith("Expected text in utf-16")


def test_a_byte_order_mark_is_no_name() -> None:
    assert read(b"\xef\xbb\xbfid,n\na,1\n").column_names == ["id", "n"]
    assert read(b"\xef\xbb\xbfid,n\n", empty=True).column_names == ["id", "n"]


def test_nul_bytes_are_refused() -> None:
    assert error(b"id,n\na,1\n\0,2\n") == ("Expected text, found a NUL byte at offset 9 in line 3")


def test_what_is_packed_is_recognized() -> None:
    assert "gzip" in error(b"\x1f\x8b\x08\x00\x00")
    assert "Parquet" in error(b"PAR1....")


@pytest.mark.parametrize(
    ("data", "found"),
    [(b"", "an empty file"), (b"\n\r\n\n", "only empty lines"), (b"\xef\xbb\xbf", "an empty file")],
)
def test_an_empty_file_is_named(data: bytes, found: str) -> None:
    assert error(data) == f"Expected a header, found {found}"


@pytest.mark.parametrize("data", ["id,n", "id,n\n", "id,n\r\n", "id,n\r"])
def test_a_header_alone_is_refused_unless_it_is_said_to_be_complete(data: str) -> None:
    assert error(data) == "Expected rows, found a header only"
    table = read(data, empty=True)
    assert table.num_rows == 0
    assert table.schema.types == [pa.string(), pa.int64()]


def test_a_file_that_is_cut_off_in_a_quote_is_refused() -> None:
    assert error('id,n\n"a",1\n"b,2\nc,3\n') == (
        "Expected the closing quote of a field, found the end of the file in line 3"
    )
    csv.field_size_limit(1 << 17)  # as in a process that has read none yet
    long = error('id,n\n"a",1\n"b,2\n' + "c,3\n" * 100_000)
    assert long.startswith("Expected the closing quote of a field")
    assert read('id,n\n5" pipe,1\n')["id"].to_pylist() == ['5" pipe']


def test_two_columns_of_one_name_are_refused() -> None:
    assert error("id,n,id\na,1,b\n") == (
        "Expected distinct column names, found 'id' as columns 1 and 3"
    )


def test_too_many_columns_are_refused_at_once() -> None:
    names = ",".join(f"c{i}" for i in range(100_000))
    data = names + "\n" + ",".join(["1"] * 100_000) + "\n"
    start = time.perf_counter()
    assert error(data) == f"Expected at most {MAX_COLUMNS} columns, found 100000"
    assert time.perf_counter() - start < 1
    assert read("a,b\n1,2\n", max_columns=2).num_columns == 2
    assert error("a,b,c\n1,2,3\n", max_columns=2) == "Expected at most 2 columns, found 3"


def test_the_delimiter_and_the_quote_are_told() -> None:
    assert read("id;n\n'a;b';1\n", delimiter=";", quote="'").to_pylist() == [{"id": "a;b", "n": 1}]
    assert read('id\tn\n"a\t1\n', delimiter="\t", quote="").to_pylist() == [{"id": '"a', "n": 1}]
    with pytest.raises(UsageError, match="one ASCII character as delimiter"):
        read("a\n", delimiter="::")


def test_without_a_header_the_schema_names_the_columns() -> None:
    assert read("a,1,2.5\n", header=False).to_pylist() == [{"id": "a", "n": 1, "x": 2.5}]
    assert read("a,1\n", {}, header=False).to_pylist() == [{"f0": "a", "f1": 1}]
    assert error("a,1\n", header=False) == "Expected 3 columns, found 2 in row 1 (line 1)"
    told = error("a,b,1\n", header=False)
    assert told == "Expected int64, found 'b' in row 1 (line 1), column 'n'"


def test_types_are_read_as_they_are_declared() -> None:
    types = {
        "t": "timestamp[us]",
        "z": "timestamp[us, UTC]",
        "d": "date",
        "h": "float16",
        "m": "decimal(9, 2)",
        "b": "bool",
    }
    table = read(
        "t,z,d,h,m,b\n2013-01-01 10:00:00,2013-01-01T10:00:00Z,2013-01-01,1.5,1.25,True\n", types
    )
    kinds = [pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.date32(), pa.float16()]
    assert table.schema.types == [*kinds, pa.decimal128(9, 2), pa.bool_()]
    assert error("m\n1.255\n", {"m": "decimal(9, 2)"}).endswith("in row 1 (line 2), column 'm'")
    assert "zone" in error("t\n2013-01-01T10:00:00Z\n", {"t": "timestamp[us]"})


def test_a_type_without_a_form_in_csv_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="Expected types that CSV has a form for"):
        read("a\n1\n", {"a": "list[int64]"})


def test_an_unknown_encoding_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="name of an encoding"):
        read("a\n", encoding="klingon")


def test_types_are_inferred_without_a_schema() -> None:
    table = read("a,b,c\n1,x,2013-01-01\n,,\n", {})
    assert table.schema.types[:2] == [pa.int64(), pa.string()]


def test_a_row_is_counted_without_the_header_and_its_line_is_the_files() -> None:
    text = 'id,n\n\n"a\nb",1\n\n\r\nc,x\n'
    assert error(text) == "Expected int64, found 'x' in row 2 (line 7), column 'n'"
    assert Csv().lines(text.encode(), {1, 2}, {}) == {1: 3, 2: 7}
    assert Csv().lines(b"a,1\nb,2\n", {2}, {"header": False}) == {2: 2}
    assert Csv().lines("é,n\na,1\n".encode("latin-1"), {1}, {"encoding": "latin-1"}) == {1: 2}
