"""What a float cannot hold is refused with its place, and nothing else is."""

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.errors import UnreadableData
from afresh.storage.formats.csv import Csv
from afresh.storage.formats.jsonl import JsonLines

KEPT = [
    ("float64", "9007199254740992", 2.0**53),
    ("float64", "10000000000000000", 1e16),
    ("float64", "1.7976931348623157e308", 1.7976931348623157e308),
    ("float64", "1234567890123456800", 1234567890123456768.0),  # as JavaScript writes it
    ("float64", "0.10000000000000001", 0.1),  # as %.17g writes it
    ("float64", "2.6666666666666667", 8 / 3),  # a fraction is read as the nearest float
    ("float64", "0e-5", 0.0),
    ("float64", "-0.0", -0.0),
    ("float64", str(2**100), 2.0**100),
    ("float32", "16777216", 2.0**24),
    ("float16", "2048", 2048.0),
]
LOST = [
    ("float64", "9007199254740993"),
    ("float64", "-9007199254740993"),
    ("float64", "12345678901234567.5"),
    ("float64", "1e-999"),
    ("float64", "1e-9999999"),
    ("float64", str(2**100 + 1)),
    ("float32", "16777217"),
    ("float32", "1e-60"),
]


def csv(text: str, types: dict[str, str]) -> Any:
    return Csv().read(f"a,x\n1,1.5\n2,{text}\n".encode(), types, {})


def jsonl(text: str, types: dict[str, str]) -> Any:
    return JsonLines().read(f'{{"x": 1.5}}\n\n{{"x": {text}}}\n'.encode(), types, {})


@pytest.mark.parametrize("read", [csv, jsonl])
@pytest.mark.parametrize(("kind", "text", "value"), KEPT)
def test_what_is_kept(read: Any, kind: str, text: str, value: float) -> None:
    found = read(text, {"x": kind})["x"].to_pylist()[1]
    assert (found, math.copysign(1, found)) == (value, math.copysign(1, value))


@pytest.mark.parametrize("read", [csv, jsonl])
@pytest.mark.parametrize(("kind", "text"), LOST)
def test_what_would_be_lost(read: Any, kind: str, text: str) -> None:
    with pytest.raises(UnreadableData, match="without loss") as raised:
        read(text, {"x": kind})
    assert raised.value.error.endswith(f"found '{text}' in row 2, column 'x'")


@pytest.mark.parametrize("text", ["1e999", "-1e999", "12345678901234567890123"])
@pytest.mark.parametrize("types", [{}, {"x": "float64"}])
def test_also_where_the_type_is_inferred(text: str, types: dict[str, str]) -> None:
    for read in (csv, jsonl):
        with pytest.raises(UnreadableData, match="row"):
            read(text, types)


def test_half_floats_do_not_overflow() -> None:
    for text in ("65536", "2049"):
        with pytest.raises(UnreadableData, match=f"'{text}' in row 2"):
            csv(text, {"x": "float16"})


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "nan"])
def test_what_is_written_as_infinite_is(text: str) -> None:
    found = csv(text, {"x": "float64"})["x"].to_pylist()[1]
    assert not math.isfinite(found)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_as_it_is_written(value: float) -> None:
    for text in (repr(value), f"{value:.18e}", f"{value:.17g}"):
        found = csv(text, {"x": "float64"})["x"].to_pylist()[1]
        assert (found, math.copysign(1, found)) == (value, math.copysign(1, value))


@given(st.integers(-(2**53), 2**53), st.integers(2**53, 2**70))
def test_integers_are_kept_or_refused(small: int, large: int) -> None:
    assert csv(str(small), {"x": "float64"})["x"].to_pylist()[1] == small
    try:
        found = csv(str(large), {"x": "float64"})["x"].to_pylist()[1]
    except UnreadableData:
        assert int(float(large)) != large
    else:
        digits = len(str(large).rstrip("0"))
        assert int(Decimal(f"{found:.{digits - 1}e}")) == large
