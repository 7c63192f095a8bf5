from pathlib import Path
from typing import Any

import pytest

from afresh.assets.errors import UsageError
from afresh.assets.planner.view import Reason, UnitView
from afresh.daemon.api.offline import finish
from afresh.daemon.api.why import why
from support.ledgers import event, run, unit
from support.manifests import a_function, a_manifest, a_source
from support.views import FakeView, filled, looks, story


def ask(path: Path, ref: str, *views: UnitView) -> Any:
    return finish(why(FakeView(path, views), {"ref": ref}))


def said(answer: dict[str, Any]) -> str:
    return "\n".join(entry["detail"] for entry in answer["because"])


def test_fresh_names_the_run_its_changed_inputs_and_the_first_event_last(tmp_path: Path) -> None:
    answer = ask(story(tmp_path), "total", looks("total", number=2))
    assert answer["ref"] == "total@2"
    assert answer["state"] == "fresh"
    assert "run r08 made total@2, because of event 3" in said(answer)
    assert "daily[k1]@2 took the place of @1" in said(answer)
    assert "daily[k2]" not in said(answer)
    last = answer["because"][-1]
    assert (last["kind"], last["event"], last["ref"]) == ("event", 3, "flights[k1]")
    assert "landing/k1.csv" in last["detail"]
    assert last["at"].startswith("1970-01-01T00:01:43.000000")


def test_every_entry_has_the_promised_keys(tmp_path: Path) -> None:
    answer = ask(story(tmp_path), "total", looks("total", number=2))
    assert all(
        list(entry) == ["kind", "ref", "event", "detail", "at"] for entry in answer["because"]
    )


def test_an_older_version_is_explained_by_its_own_run(tmp_path: Path) -> None:
    answer = ask(story(tmp_path), "total@1", looks("total", number=2))
    assert answer["ref"] == "total@1"
    assert "run r05 made total@1, because of event 2" in said(answer)
    assert "r08" not in said(answer)


@pytest.mark.parametrize("kind", ["policy", "deleted"])
def test_of_what_is_left_behind_it_is_not_said_that_nothing_changed(
    tmp_path: Path, kind: str
) -> None:
    """Its inputs may have other content by now: its policy, or a tombstone, is why it did not."""
    answer = ask(story(tmp_path), "total", looks("total", "", "fresh", 1, Reason(kind, "it is")))
    kinds = {entry["kind"] for entry in answer["because"]}
    assert kind in kinds
    assert "unchanged" not in kinds


def test_what_changed_without_a_run_is_said_with_the_columns(tmp_path: Path) -> None:
    # total was last run at epoch 2; daily[k1] changed at 3, and total is settled there.
    path = story(tmp_path)
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM run WHERE run = 'r08'")
        connection.execute("DELETE FROM version WHERE run = 'r08'")
        connection.execute("DELETE FROM validity WHERE run = 'r08'")
    answer = ask(path, "total", looks("total", number=1, epoch=3))
    assert "daily[k1]@2 is new, but what it reads have the content of @1" in said(answer)
    assert any(entry["event"] == 3 for entry in answer["because"])


def test_failed_shows_error_cases_and_the_event(tmp_path: Path) -> None:
    path = filled(
        tmp_path,
        {
            "event": [event(7, partition="k1", state="rejected", uri="landing/k1.csv")],
            "unit": [unit("flights", "k1", version=None)],
            "run": [
                run(
                    "r1", "flights", "k1", state="rejected", cause_event=7, version=None,
                    error='{"error": "Expected float64, found \'x\'", "where": "k1.csv:3"}',
                )
            ],
            "rejection": [
                {
                    "run": "r1", "asset": "flights", "partition": "k1", "error": "1 case",
                    "cases": '[{"column": "delay", "check": "dtype"}]', "total": 9, "uri": "",
                }
            ],
        },
    )  # fmt: skip
    failed = Reason("rejected", "its arrival was rejected", ref="r1", event=7)
    answer = ask(path, "flights[k1]", looks("flights", "k1", "failed", None, failed))
    assert answer["state"] == "failed"
    assert "k1.csv:3: Expected float64, found 'x'" in said(answer)
    assert "column delay, check dtype" in said(answer)
    assert "9 failure cases in all" in said(answer)
    assert answer["because"][-1]["event"] == 7


def test_blocked_leads_to_what_failed_and_its_event(tmp_path: Path) -> None:
    path = filled(
        tmp_path,
        {
            "event": [event(5, partition="k1", state="ingested")],
            "unit": [unit("daily", "k1", version=None), unit("total", version=None)],
            "run": [
                run(
                    "r1", "daily", "k1", state="failed", cause_event=5, error='{"error": "boom"}'
                )
            ],
        },
    )  # fmt: skip
    answer = ask(
        path,
        "total",
        looks("total", "", "blocked", None, Reason("blocked", "needs daily", ref="daily[k1]")),
        looks("daily", "k1", "failed", None, Reason("failed", "it raised", ref="r1")),
    )
    assert [entry["kind"] for entry in answer["because"]] == ["blocked", "failed", "run", "event"]
    assert "boom" in said(answer)
    assert answer["because"][-1]["event"] == 5


def test_stale_leads_through_what_is_waited_for_to_the_event(tmp_path: Path) -> None:
    answer = ask(
        story(tmp_path),
        "total",
        looks("total", "", "stale", 1, Reason("waiting", "daily[k1] may change", ref="daily[k1]")),
        looks(
            "daily", "k1", "stale", 1, Reason("input", "flights[k1] is new", ref="flights[k1]@2")
        ),
        looks("flights", "k1", "stale", 1, Reason("event", "event 3 waits", event=3)),
    )
    assert answer["because"][-1]["event"] == 3
    assert "readers get total@1" in said(answer)


def test_units_that_lead_to_each_other_end(tmp_path: Path) -> None:
    answer = ask(
        story(tmp_path),
        "total",
        looks("total", "", "blocked", None, Reason("blocked", "a", ref="daily[k1]")),
        looks("daily", "k1", "blocked", None, Reason("blocked", "b", ref="total")),
    )
    assert len(answer["because"]) == 2


def test_an_archived_asset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="declared"):
        ask(filled(tmp_path, {"unit": [unit("gone")]}), "gone")


def test_of_several_units_those_that_are_not_fresh_are_explained(tmp_path: Path) -> None:
    missing = Reason("missing", "needs flights[k3], which has no data yet")
    answer = ask(
        story(tmp_path),
        "daily",
        looks("daily", "k1", number=2),
        looks("daily", "k2", "blocked", None, missing),
        looks("daily", "k3", "failed", None),
    )
    assert (answer["ref"], answer["state"]) == ("daily", "failed")
    told = [entry["ref"] for entry in answer["because"] if entry["detail"].startswith("it is")]
    assert told == ["daily[k3]", "daily[k2]"]
    assert missing.detail in said(answer)


def test_of_several_units_that_are_fresh_those_made_last_are_told(tmp_path: Path) -> None:
    answer = ask(story(tmp_path), "daily", looks("daily", "k1"), looks("daily", "k2"))
    assert (answer["ref"], answer["state"]) == ("daily", "fresh")
    told = {entry["ref"] for entry in answer["because"] if entry["detail"] == "it is fresh"}
    assert told == {"daily[k1]", "daily[k2]"}
    assert any(entry["kind"] == "event" for entry in answer["because"])


def test_the_one_unit_of_an_asset_that_never_ran_need_not_be_named(tmp_path: Path) -> None:
    missing = Reason("missing", "needs flights[k3], which has no data yet")
    blocked = looks("daily", "k3", "blocked", None, missing)
    answer = ask(filled(tmp_path, {}), "daily", blocked)
    assert (answer["ref"], answer["state"]) == ("daily[k3]", "blocked")
    assert missing.detail in said(answer)


def test_a_deletion_is_one_of_what_it_was_made_from(tmp_path: Path) -> None:
    declared = a_manifest(
        a_source("flights", "day"), a_source("weather", "day"), a_function("daily", "=flights")
    )
    gone = [
        event(seq, source=source, sensor=source, partition="k1", kind="deleted", state="ingested")
        for seq, source in ((1, "flights"), (2, "weather"))
    ]
    units = [looks("daily", "k1", "fresh", 1, Reason("deleted", "its file is gone"))]
    tables = {"event": gone, "unit": [unit("daily", "k1")]}
    view = FakeView(filled(tmp_path, tables), units, declared)
    because = finish(why(view, {"ref": "daily[k1]"}))["because"]
    assert [entry["event"] for entry in because if entry["kind"] == "event"] == [1]
