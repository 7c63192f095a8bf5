import time

import pyarrow as pa
import pytest

from afresh.assets.errors import UnreadableData, UsageError
from afresh.storage.formats.jsonl import JsonLines

TYPES = {"id": "string", "n": "int64"}


def read(text: str | bytes, types: dict[str, str] | None = None) -> pa.Table:
    data = text.encode() if isinstance(text, str) else text
    return JsonLines().read(data, TYPES if types is None else types, {})


def error(text: str | bytes, types: dict[str, str] | None = None) -> str:
    with pytest.raises(UnreadableData) as caught:
        read(text, types)
    return caught.value.error


def test_what_a_line_leaves_out_is_null() -> None:
    assert read('{"id":"a"}\n\n{"n":2}\n').to_pydict() == {"id": ["a", None], "n": [None, 2]}


def test_a_column_that_no_line_has_is_missing_and_one_of_nulls_is_not() -> None:
    assert read('{"id":"n"}\n').column_names == ["id"]
    assert read('{"id":"a","n":null}\n').schema.types == [pa.string(), pa.int64()]


def test_text_is_never_taken_for_a_time() -> None:
    table = read('{"a":"2013-01-01","b":[{"c":"2013-01-01T10:00:00Z"}]}\n', {})
    assert table.to_pylist() == [{"a": "2013-01-01", "b": [{"c": "2013-01-01T10:00:00Z"}]}]


def test_times_are_read_where_they_are_declared() -> None:
    types = {"t": "timestamp[us]", "d": "date", "c": "time[us]", "s": "duration[s]", "h": "float16"}
    table = read(
        '{"t":"2013-01-01 10:00:00","d":"2013-01-01","c":"10:00:00","s":5,"h":1.5}\n', types
    )
    kinds = [pa.timestamp("us"), pa.date32(), pa.time64("us"), pa.duration("s"), pa.float16()]
    assert table.schema.types == kinds
    assert error('{"d":"2013-01-01"}\n{"d":"2013-13-01"}\n', types) == (
        "Expected date32[day], found '2013-13-01' in row 2, column 'd'"
    )
    assert error('{"c":"10:00:00"}\n{"c":"25:00:00"}\n', types) == (
        "Expected time64[us], found '25:00:00' in row 2, column 'c'"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"n":1}\n{"n":"x"}\n', "Expected int64, found a string in row 2, column 'n'"),
        ('{"id":"a"}\n{"id":7}\n', "Expected string, found a number in row 2, column 'id'"),
        ('{"n":1}\n\n{"n":1.5}\n{"n":2}\n', "Expected int64, found 1.5 in row 2, column 'n'"),
        ('{"n":1}\n{"n":1', "in row 2"),
        ('{"n":1}\n{"n":\n', "in row 2"),
        ('[{"n":1}]\n', "Expected a JSON object, found an array in row 1"),
        ('{"n":1}\n3\n', "Expected a JSON object, found a number in row 2"),
        ('{"n":1,"n":2}\n', "Expected each name once, found it twice in row 1, column 'n'"),
        (b'{"id":"a"}\n{"id":"\xff"}\n', "found byte 0xff at offset 18 in line 2"),
        (b'{"id":"a"}\n\0', "found a NUL byte at offset 11 in line 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str | bytes, message: str) -> None:
    assert message in error(text)


def test_an_empty_file_has_no_rows_where_the_types_are_known() -> None:
    assert read("\n").schema.names == ["id", "n"]
    assert read(b"").num_rows == 0
    assert error(b"", {}) == "Expected JSON objects, found an empty file"


def test_a_type_without_a_form_in_json_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="Expected types that JSON has a form for"):
        read('{"a": [5]}\n', {"a": "list[duration[s]]"})


def test_members_that_nobody_declared_are_not_dropped() -> None:
    table = JsonLines().read(b'{"x": {"a": 1, "b": 2}}\n', {"x": "struct<a: int64>"}, {})
    assert table["x"].to_pylist() == [{"a": 1, "b": 2}]
    table = JsonLines().read(b'{"x": [{"b": 2}]}\n', {"x": "list<struct<a: int64>>"}, {})
    assert table["x"].to_pylist()[0][0]["b"] == 2


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("null", 1),
        ("\n null \n", 1),
        ('null\n{"n":1}', 1),
        ("null{", 1),
        ('{"n":1}\nnull\n', 2),
        ('{"n":1}\n{"n":2} null', 3),
    ],
)
@pytest.mark.parametrize("types", [TYPES, {}])
def test_null_is_no_object(text: str, row: int, types: dict[str, str]) -> None:
    assert error(text, types) == f"Expected a JSON object, found null in row {row}"


def test_null_is_no_object_behind_a_number_of_very_many_digits() -> None:
    text = '{"n":1,"x":' + "9" * 5000 + "}\nnull\n"
    assert error(text, {"n": "int64"}).endswith("found null in row 2")


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ("[" * 49 + "1" + "]" * 49, False),
        ("[" * 50 + "1" + "]" * 50, True),
        ('{"a":' * 50 + "1" + "}" * 50, True),
        ("[" * 100_000 + "1" + "]" * 100_000, True),
        ('["]\\"\\\\",' * 50_000 + "1" + "]" * 50_000, True),
        (r'"' + "[" * 200 + r'\"[[ \\"', False),
        ("[" + ",".join(["[1]"] * 200) + "]", False),
    ],
    ids=range(7),
)
def test_what_is_nested_too_deep_is_refused(value: str, refused: bool) -> None:
    text = f'{{"n":1}}\n{{"n":2,"x":{value}}}\n'
    for types in (TYPES, {}):
        if refused:
            assert error(text, types) == "Expected JSON of 50 levels at most, found more in line 2"
        else:
            assert read(text, types)["n"].to_pylist() == [1, 2]


def test_many_empty_lines_cost_little() -> None:
    start = time.perf_counter()
    assert read("\n" * 200_000 + '{"n":1}\n').num_rows == 1
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("text", ['{"n":\nnull\n}', '{"id":"} null","n":\n null}'])
def test_null_on_a_line_of_its_own_is_a_value(text: str) -> None:
    assert read(text)["n"].to_pylist() == [None]


def test_a_wrong_value_beside_a_null_on_a_line_of_its_own_is_refused() -> None:
    assert error('{"id":\nnull,\n"n":"x"}').startswith("Expected int64")


def test_the_line_of_a_row_is_the_files() -> None:
    text = b'{"n":1}\n\n{"n":2}\n{"n":'
    assert JsonLines().lines(text, {2, 3}, {}) == {2: 3, 3: 4}
    assert JsonLines().lines(b'{"n":\n1}\n{"n":2}\n', {2}, {}) == {}, "not a line a row"
