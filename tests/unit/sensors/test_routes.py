"""Which sensors a path is for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.partition import Pattern
from afresh.sensors.routes import Routes, literal_prefix

PATTERNS = [
    "{x}.csv",
    "./{x}.csv",
    "landing/{x}.csv",
    "landing/fixed.csv",
    "landing/**/{x}.csv",
    "landing/a_{x}.csv",
    "landing/{y}/{x}.csv",
    "land*/{x}.csv",
    "landing/?.csv",
]


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("landing/a_{x}.csv", "landing/a_"),
        ("./{x}.csv", ""),
        ("landing/fixed.csv", "landing/fixed.csv"),
        ("a/*/{x}", "a/"),
        ("a?/{x}", "a"),
    ],
)
def test_the_literal_prefix_is_what_every_match_begins_with(text: str, prefix: str) -> None:
    assert literal_prefix(Pattern.parse(text)) == prefix


@given(
    st.lists(st.sampled_from(PATTERNS), unique=True),
    st.lists(st.sampled_from(PATTERNS), unique=True),
    st.lists(
        st.from_regex(r"(landing|land|x)?(/(a_)?[ab1])?/(fixed|a|a_b)\.csv(\.gz)?", fullmatch=True),
        min_size=1,
    ),
)
def test_the_index_finds_what_trying_all_finds(
    texts: list[str], removed: list[str], paths: list[str]
) -> None:
    patterns = {text: Pattern.parse(text) for text in texts}
    routes: Routes[str] = Routes()
    for text, pattern in patterns.items():
        routes.add(text, pattern)
    for path in paths:
        routes.find(path)
    for text in removed:
        routes.remove(text, Pattern.parse(text))
        patterns.pop(text, None)
    for path in paths:
        tried = {(t, key) for t, p in patterns.items() if (key := p.match(path)) is not None}
        assert set(routes.find(path)) == tried
        assert set(routes.find(path)) == tried
