from pathlib import Path
from typing import Any

import pytest

from afresh.assets.errors import UsageError
from afresh.daemon.api import listings
from afresh.daemon.api.offline import finish
from support.views import FakeView, looks, story


@pytest.fixture
def view(tmp_path: Path) -> FakeView:
    return FakeView(story(tmp_path), [looks("total"), looks("daily", "k1"), looks("daily", "k2")])


def test_versions_have_the_promised_keys(view: FakeView) -> None:
    rows = finish(listings.versions(view, {"asset": "daily[k1]"}))
    assert list(rows[0]) == [
        "ref", "asset", "partition", "version", "fingerprint", "rows", "bytes", "created_at",
        "run", "code_version", "uri", "tags", "state",
    ]  # fmt: skip
    assert [(row["ref"], row["state"]) for row in rows] == [
        ("daily[k1]@2", "head"),
        ("daily[k1]@1", "kept"),
    ]


def test_versions_in_pages_are_all_of_them(view: FakeView) -> None:
    assert pages(view, listings.versions, "ref", {"asset": "daily"}) == [
        "daily[k1]@2", "daily[k1]@1", "daily[k2]@1",
    ]  # fmt: skip


def test_runs_have_the_promised_keys(view: FakeView) -> None:
    rows = finish(listings.runs(view, {"selection": "total"}))
    assert rows[1] == {
        "run": "r08",
        "asset": "total",
        "partition": "",
        "epoch": 3,
        "attempt": 1,
        "state": "succeeded",
        "cause": {"kind": "arrived", "event": 3},
        "events": 1,
        "started_at": "1970-01-01T00:01:43.000000Z",
        "seconds": 0.5,
        "error": None,
    }


def test_runs_in_pages_are_all_of_them(view: FakeView) -> None:
    assert pages(view, listings.runs, "run", {}) == [f"r0{i}" for i in range(1, 9)]
    assert pages(view, listings.runs, "run", {"selection": "daily[k1]"}) == ["r02", "r07"]


def test_events_have_the_promised_keys_and_pages(view: FakeView) -> None:
    (row,) = finish(listings.events(view, {"after": "2"}))
    assert row == {
        "seq": 3,
        "epoch": 3,
        "sensor": "flights",
        "source": "flights",
        "partition": "k1",
        "kind": "arrived",
        "uri": "landing/k1.csv",
        "observed_at": "1970-01-01T00:01:43.000000Z",
        "state": "ingested",
        "detail": None,
    }
    assert pages(view, listings.events, "seq", {}) == [1, 2, 3]
    assert finish(listings.events(view, {"unmatched": True})) == []


@pytest.mark.parametrize(
    ("ask", "params"),
    [
        (listings.events, {"after": "x"}),
        (listings.versions, {"asset": "daily", "after": "daily"}),
        (listings.versions, {"asset": "nope"}),
        (listings.versions, {"asset": "daily[nope]"}),
        (listings.runs, {"after": "z"}),
        (listings.versions, {"asset": "da ily"}),
        (listings.log, {"run": "r99"}),
        (listings.runs, {"selection": "nope"}),
        (listings.readable, {"ref": "total@9"}),
    ],
)
def test_a_wrong_call_is_refused(view: FakeView, ask: Any, params: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        finish(ask(view, params))


def test_one_version_has_its_hash(view: FakeView) -> None:
    (found,) = finish(listings.readable(view, {"ref": "daily[k2]"}))
    assert (found["ref"], found["hash"], found["state"]) == ("daily[k2]@1", "h1", "head")


@pytest.mark.parametrize(
    ("kept", "line"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{broken", "{broken"),
        ('{"error": "e", "hint": "h", "where": "p.py:3"}', "p.py:3: e (h)"),
        ('{"error": "e"}', "e"),
    ],
)
def test_an_error_is_one_line(kept: str, line: str) -> None:
    assert listings.error_line(kept) == line


def pages(view: FakeView, ask: Any, cursor: str, params: dict[str, Any]) -> list[Any]:
    """Read all pages of one row."""
    found: list[Any] = []
    while True:
        after = {"after": str(found[-1])} if found else {}
        rows = finish(ask(view, {**params, "limit": 1, **after}))
        if not rows:
            return found
        found += [row[cursor] for row in rows]


def test_an_asset_without_a_key_is_read_whole(view: FakeView) -> None:
    found = finish(listings.readable(view, {"ref": "daily"}))
    heads = [
        row for row in finish(listings.versions(view, {"asset": "daily"})) if row["state"] == "head"
    ]
    assert [row["ref"] for row in found] == sorted(row["ref"] for row in heads)
    assert len(found) > 1
