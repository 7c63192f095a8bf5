import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.storage.artifacts.paths import artifact_uri, below

NAMES = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=300)


def test_the_path_says_what_it_is() -> None:
    uri = artifact_uri("/data/", "sales.orders", "2024-01-02,eu", "0r1", "sales.orders")
    assert uri == "/data/sales.orders/2024-01-02,eu/0r1-sales.orders.parquet"
    assert artifact_uri("/data", "a", "", "r", "a") == "/data/a/_/r-a.parquet"


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("s3://bucket/a/", "s3://bucket/a/x/_/r-x.parquet"),
        ("memory://", "memory://x/_/r-x.parquet"),
        ("/", "/x/_/r-x.parquet"),
    ],
)
def test_the_base_may_be_any_store(base: str, expected: str) -> None:
    assert artifact_uri(base, "x", "", "r", "x") == expected


@pytest.mark.parametrize(
    "key", ["..", ".", "../../etc", "/etc", "a\nb", "_", "~", "\u202ex", "%2e"]
)
def test_odd_keys_stay_inside(key: str) -> None:
    uri = artifact_uri("/data", "a", key, "r", "a")
    assert os.path.normpath(uri) == uri
    assert uri.startswith("/data/a/")
    assert uri.isascii()
    assert uri.isprintable()
    assert uri != artifact_uri("/data", "a", "", "r", "a")


def test_bytes_that_are_no_text_have_a_name() -> None:
    assert artifact_uri("/d", "a", os.fsdecode(b"\xff"), "r", "a") == "/d/a/%ED%B3%BF/r-a.parquet"


@given(NAMES, NAMES)
def test_distinct_keys_have_distinct_safe_names(one: str, two: str) -> None:
    def folder(key: str) -> str:
        uri = artifact_uri("/data", "a", key, "r", "a")
        assert below("/data", uri)
        name = uri.split("/")[3]
        assert len(os.fsencode(name)) <= 255
        return name

    assert (folder(one) == folder(two)) == (one == two)


def test_below_refuses_what_lies_elsewhere() -> None:
    assert below("/data", "/data/a/_/r-a.parquet")
    assert not below("/data", "/other/a/_/r-a.parquet")
    assert not below("/data", "/data/../_/r-a.parquet")
    assert not below("/data", "/data/r-a.parquet")
