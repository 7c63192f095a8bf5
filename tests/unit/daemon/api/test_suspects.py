"""What is told of stored data that fails a schema which was changed since."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from afresh.assets.manifest import Manifest
from afresh.daemon.api.listings import versions
from afresh.daemon.api.offline import finish
from afresh.daemon.api.status import status, table
from afresh.daemon.api.why import why
from support.ledgers import event, segment, unit, validation, version
from support.manifests import a_schema
from support.views import MANIFEST, FakeView, filled, looks, put, story

ERROR = "Expected ge(0) in column 'n', found '-1' in row 7"
CASES = '[{"column": "n", "check": "ge(0)", "value": "-1", "index": "7"}]'


def declared() -> Manifest:
    schema = msgspec.structs.replace(a_schema("Flight"), version="new")
    sources = (msgspec.structs.replace(MANIFEST.sources[0], schema="Flight"),)
    return msgspec.structs.replace(MANIFEST, sources=sources, schemas={"Flight": schema})


@pytest.fixture
def view(tmp_path: Path) -> FakeView:
    path = story(tmp_path)
    given = {"event": 4, "error": ERROR, "cases": CASES, "total": 9}
    rows = [
        validation("flights", "k1", 2, "new", "suspect", **given),
        validation("flights", "k2", 1, "new", "ok"),
        validation("daily", "k1", 1, "other", "suspect", **given),
    ]
    code = event(4, kind="code", source="", sensor="", uri="", partition="", state="ingested")
    put(path, {"validation": rows, "event": [code]})
    units = [
        looks("flights", "k1", number=2),
        looks("flights", "k2"),
        looks("daily", "k1", number=2),
    ]
    return FakeView(path, units, declared())


def test_status_names_it_of_a_fresh_unit_in_one_word(view: FakeView) -> None:
    found = {(r["asset"], r["partition"]): r["reasons"] for r in finish(status(view, {}))}
    assert found == {("flights", "k1"): ["suspect"], ("flights", "k2"): [], ("daily", "k1"): []}
    lines = {line["asset"]: line["reason"] for line in finish(table(view, {}))}
    assert lines == {"flights": "suspect", "daily": ""}


def test_status_says_more_of_a_unit_in_trouble(view: FakeView) -> None:
    view.planner.views["flights", "k1"] = looks("flights", "k1", "failed", 2)
    (row,) = finish(status(view, {"selection": "flights[k1]"}))
    assert row["reasons"] == [f"suspect: it fails Flight since the definitions of event 4: {ERROR}"]


def test_why_names_what_fails_since_when_and_the_rows(view: FakeView) -> None:
    answer: Any = finish(why(view, {"ref": "flights[k1]"}))
    assert answer["state"] == "fresh"
    kinds = [entry["kind"] for entry in answer["because"]]
    assert kinds[:3] == ["suspect", "case", "case"]
    mark, case, more = answer["because"][:3]
    assert (mark["ref"], mark["event"]) == ("flights[k1]@2", 4)
    assert ERROR in mark["detail"]
    assert "index 7" in case["detail"]
    assert more["detail"] == "9 failure cases in all"
    assert [e for e in answer["because"] if e["kind"] == "event" and e["event"] == 4]


def test_why_of_a_whole_asset_names_the_units_that_are_suspect(view: FakeView) -> None:
    answer: Any = finish(why(view, {"ref": "flights"}))
    assert answer["state"] == "fresh"
    assert [e["ref"] for e in answer["because"] if e["kind"] == "suspect"] == ["flights[k1]@2"]


def test_why_of_an_older_version(view: FakeView) -> None:
    answer: Any = finish(why(view, {"ref": "daily[k1]@1"}))
    assert answer["state"] == "suspect"
    assert "a schema that was changed" in answer["because"][0]["detail"]


def test_versions_mark_it_as_head_or_not(view: FakeView) -> None:
    def states(asset: str) -> dict[str, str]:
        return {row["ref"]: row["state"] for row in finish(versions(view, {"asset": asset}))}

    assert states("flights")["flights[k1]@2"] == "suspect"
    assert states("flights")["flights[k2]@1"] == "head"
    assert states("daily")["daily[k1]@1"] == "suspect"
    assert states("daily")["daily[k1]@2"] == "head"


def test_of_a_stream_by_its_rows(tmp_path: Path) -> None:
    given = {"start_row": 0, "end_row": 20, "uri": "", "hash": ""}
    rows = {
        "unit": [unit("flights", version=2)],
        "version": [
            version("flights", "", 1, **{**given, "end_row": 10}),
            version("flights", "", 2, **given),
        ],
        "segment": [segment("flights", 0, 20)],
        "validation": [
            validation("flights", "", 0, "new", "suspect", first_row=10, end_row=12),
            validation("flights", "", 0, "new", "suspect", first_row=15, end_row=20),
        ],
    }
    view = FakeView(filled(tmp_path, rows), [looks("flights", number=2)], declared())
    listed = finish(versions(view, {"asset": "flights"}))
    assert [(row["version"], row["state"]) for row in listed] == [(2, "suspect"), (1, "kept")]
    (row,) = finish(status(view, {}))
    assert row["reasons"] == ["suspect"]
