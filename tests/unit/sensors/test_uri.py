"""Paths as the journal writes them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.errors import UsageError
from afresh.sensors.uri import path_of, uri_of

names = st.binary(min_size=1, max_size=30).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@given(st.lists(names, min_size=1, max_size=4), st.sampled_from(["/project", "/"]))
def test_a_path_comes_back_whatever_its_bytes(parts: list[bytes], project: str) -> None:
    path = os.fsdecode(os.fsencode(project).rstrip(b"/") + b"/" + b"/".join(parts))
    uri = uri_of(path, project)
    assert path_of(uri, project) == path
    assert not set(uri) & set(",[]@*\n\x00\x1b")
    uri.encode()


def test_what_is_outside_the_project_stays_absolute() -> None:
    assert uri_of("/data/a,b.csv", "/project") == "/data/a%2Cb.csv"
    assert path_of("/data/a%2Cb.csv", "/project") == "/data/a,b.csv"
    assert uri_of("/projects/a.csv", "/project") == "/projects/a.csv"


@pytest.mark.parametrize(
    "uri", ["../a", "a/../b", "a/%2E%2E/b", "a%2Fb", "./a", "a//b", "a/%00", ""]
)
def test_what_no_path_is_written_as_is_refused(uri: str) -> None:
    with pytest.raises(UsageError):
        path_of(uri, "/project")
