from pathlib import Path
from typing import Any

import pytest

from afresh.assets.errors import UsageError
from afresh.daemon.api import listings
from afresh.daemon.api.offline import finish
from support.ledgers import run, unit, validity, version
from support.manifests import a_manifest, a_source
from support.views import FakeView, filled, looks, story


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
        (listings.events, {"sources": ["flight"]}),
        (listings.events, {"sensors": ["flights", "nope"]}),
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


def test_events_of_a_source_that_is_declared_no_more_are_still_shown(tmp_path: Path) -> None:
    old = FakeView(story(tmp_path), [], a_manifest(a_source("orders")))
    assert len(finish(listings.events(old, {"sources": ["flights"]}))) == 3
    assert finish(listings.events(old, {"sources": ["orders"]})) == []


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


def test_a_deleted_unit_is_read_by_its_version_alone(tmp_path: Path) -> None:
    tables = {
        "unit": [unit("daily", "k1", deleted=True)],
        "version": [version("daily", "k1", 1)],
        "validity": [validity("daily", "k1", 1, 1), validity("daily", "k1", 7, None)],
    }
    view = FakeView(filled(tmp_path, tables))
    for ref in ("daily[k1]", "daily[k1]@latest"):
        with pytest.raises(UsageError, match="deleted at epoch 7") as raised:
            finish(listings.readable(view, {"ref": ref}))
        assert "daily[k1]@1" in raised.value.hint
    (row,) = finish(listings.readable(view, {"ref": "daily[k1]@1"}))
    assert row["version"] == 1


def test_an_asset_without_data_names_the_states_of_its_units(tmp_path: Path) -> None:
    units = [looks("daily", "k1", "blocked", None), looks("daily", "k2", "failed", None)]
    view = FakeView(filled(tmp_path, {}), units)
    with pytest.raises(UsageError, match=r"daily\[k1\] is blocked, daily\[k2\] is failed"):
        finish(listings.readable(view, {"ref": "daily"}))


def test_a_deletion_is_listed_as_a_tombstone_before_the_versions_that_are_kept(
    tmp_path: Path,
) -> None:
    tables = {
        "unit": [unit("daily", "k1", deleted=True, version=2), unit("daily", "k2")],
        "version": [version("daily", "k1", n) for n in (1, 2)] + [version("daily", "k2", 1)],
        "validity": [
            *(validity("daily", "k1", n, n) for n in (1, 2)),
            validity("daily", "k1", 7, None),
            validity("daily", "k2", 1, 1),
        ],
    }
    view = FakeView(filled(tmp_path, tables))
    rows = finish(listings.versions(view, {"asset": "daily"}))
    assert [(row["ref"], row["state"]) for row in rows] == [
        ("daily[k1]", "tombstone"),
        ("daily[k1]@2", "kept"),
        ("daily[k1]@1", "kept"),
        ("daily[k2]@1", "head"),
    ]
    assert list(rows[0]) == list(rows[1])
    assert pages(view, listings.versions, "ref", {"asset": "daily"}) == [r["ref"] for r in rows]
    (row,) = finish(listings.versions(view, {"asset": "daily[k1]@2"}))
    assert row["state"] == "kept"


def test_the_outputs_of_a_run_are_on_one_page(tmp_path: Path) -> None:
    rows = [run(name, asset) for name in ("r1", "r2") for asset in ("daily", "total")]
    view = FakeView(filled(tmp_path, {"run": rows, "unit": [unit("daily"), unit("total")]}))
    for selection in (None, "daily total"):
        ask = {"selection": selection, "limit": 1}
        first = finish(listings.runs(view, ask))
        second = finish(listings.runs(view, {**ask, "after": "r1"}))
        assert [(row["run"], row["asset"]) for row in first + second] == [
            ("r1", "daily"), ("r1", "total"), ("r2", "daily"), ("r2", "total"),
        ]  # fmt: skip


def test_a_version_that_is_named_is_on_the_page(view: FakeView) -> None:
    (row,) = finish(listings.versions(view, {"asset": "total@1", "limit": 1}))
    assert row["ref"] == "total@1"
    assert finish(listings.versions(view, {"asset": "total@1", "limit": 0})) == []
