"""Keys survive every file name that a disk can hold, and no path leaves its pattern's root."""

import os
import re

from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.errors import DefinitionError
from afresh.assets.partition import (
    Pattern,
    decode_key,
    decode_part,
    encode_key,
    encode_part,
    format_ref,
    is_temporary,
    parse_ref,
)

# What os.fsdecode gives: any bytes but NUL and "/", so lone surrogates and control characters too.
hostile = st.one_of(
    st.binary(min_size=1, max_size=40).map(
        lambda b: os.fsdecode(b.replace(b"\0", b"0").replace(b"/", b"_"))
    ),
    st.text(
        st.sampled_from("%,[]@*.\n\r\t\x1b\x7f\x85\u200f\u202e\u2028 '\"é\udcff2e"), min_size=1
    ).map(lambda s: os.fsdecode(os.fsencode(s))),
)


@given(hostile)
def test_a_part_round_trips_on_one_line(value: str) -> None:
    encoded = encode_part(value)
    assert decode_part(encoded) == value
    assert len(encoded.splitlines()) == 1
    assert not set(encoded) & set(",[]@*")
    assert encoded.encode("utf-8").decode("utf-8") == encoded


@given(st.lists(hostile, max_size=4))
def test_a_key_round_trips(values: list[str]) -> None:
    assert decode_key(encode_key(values)) == tuple(values)


@given(st.lists(hostile, max_size=3), st.lists(hostile, max_size=3))
def test_keys_are_injective(one: list[str], other: list[str]) -> None:
    assert (encode_key(one) == encode_key(other)) == (one == other)


@given(st.lists(hostile, min_size=1, max_size=3), st.integers(1, 10**17))
def test_a_reference_round_trips(values: list[str], version: int) -> None:
    ref = parse_ref(format_ref("orders", encode_key(values), version))
    assert (ref.asset, ref.partition, ref.version) == ("orders", encode_key(values), version)


patterns = st.sampled_from(
    [
        "landing/{a}.csv",
        "landing/{a}/{b}.csv",
        "landing/{a}-{b}",
        "landing/**/{a}.csv",
        "landing/*/{a}.x",
        "landing/x/{a}/**/{b}",
    ]
)
paths = st.lists(
    st.one_of(hostile, st.sampled_from(["..", ".", "", "landing", "x", "a-b", "a.csv", "%2e%2e"])),
    min_size=1,
    max_size=5,
)


@given(patterns, paths)
def test_a_match_never_escapes(text: str, parts: list[str]) -> None:
    path = "/".join(["landing", *parts])
    key = Pattern.parse(text).match(path)
    if key is not None:
        assert not {"..", ".", ""} & set(path.split("/"))
        assert os.path.normpath(path).startswith("landing/")
        assert len(decode_key(key)) == len(Pattern.parse(text).captures)


@given(hostile, hostile)
def test_what_is_captured_is_given_back(day: str, region: str) -> None:
    pattern = Pattern.parse("landing/{day}/{region}.csv")
    key = pattern.match(f"landing/{day}/{region}.csv")
    if day.startswith(".") or region.startswith("."):
        assert key is None
    else:
        assert key is not None
        assert pattern.values(key) == {"day": day, "region": region}


@given(st.lists(hostile, min_size=1, max_size=4).map("/".join))
def test_any_pattern_is_read_or_refused(text: str) -> None:
    try:
        root = Pattern.parse(text).root
    except DefinitionError:
        root = ""
    assert ".." not in root.split("/")


@given(
    st.sampled_from(["{a}-{b}-{c}", "{a}--{b}.csv", "*-{a}-x-{b}", "{a}-*/{b}_{c}-{d}.x"]),
    st.text("-_x.acsv/", min_size=1, max_size=14),
)
def test_matching_is_as_if_every_way_were_tried(text: str, path: str) -> None:
    naive = re.escape(text).replace(r"\*", "[^/]*?")
    naive = re.sub(r"\\{([a-z])\\}", r"(?P<\1>[^/]+?)", naive)
    found = re.fullmatch(f"{naive}(?:\\.gz)?", path)
    parts = path.split("/")
    hidden = any(part.startswith(".") or not part for part in parts)
    key = Pattern.parse(text).match(path)
    if found is None or hidden or is_temporary(parts[-1]):
        assert key is None
    else:
        assert key == encode_key([found[name] for name in sorted(found.groupdict())])
