"""What an outbox tells of a commit, and to whom."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afresh.daemon.outgoing.outbox import Outbox
from afresh.sensors.cloudevents import from_json
from afresh.sensors.upstreams.events import read as read_news
from afresh.storage.ledger.commit import Update
from afresh.storage.ledger.reader import Reader
from support.ledgers import validity, version
from support.manifests import a_function, a_manifest, a_source
from support.views import filled, put

MANIFEST = a_manifest(
    a_source("flights", "day", tags=("raw",)), a_function("daily", "=flights", tags=("public",))
)


def an_outbox(path: Path, **selections: str) -> Outbox:
    return Outbox(
        "shop",
        selections,
        Reader(path).rows,
        manifest=lambda: MANIFEST,
        parts=lambda asset, key, start, end: [{"uri": f"{asset}{key}", "skip": start, "rows": end}],
        now=lambda: 7.0,
    )


def a_version(asset: str, key: str, number: int, **given: Any) -> list[Update]:
    columns = json.dumps({"a": "h"})
    row = version(asset, key, number, columns=columns, **given)
    return [
        Update("insert", "version", [row]),
        Update("upsert", "validity", [validity(asset, key, 5, number)]),
    ]


def events(updates: Sequence[Update]) -> list[tuple[str, Any]]:
    return [
        (row["target"], from_json(row["payload"].encode()))
        for update in updates
        for row in update.rows
    ]


def test_what_a_commit_makes_visible_is_told_with_it(tmp_path: Path) -> None:
    outbox = an_outbox(filled(tmp_path, {}), all="", public="tag:public")
    found = events(outbox.rows([*a_version("flights", "k1", 3), *a_version("daily", "k1", 1)]))
    assert [target for target, _ in found] == ["all", "all", "public"]
    event = found[0][1]
    assert event.attributes["type"] == "dev.afresh.version.committed"
    assert event.attributes["source"] == "/afresh/shop"
    assert event.attributes["subject"] == "flights[k1]@3"
    data = json.loads(event.data)
    assert (data["ref"], data["asset"], data["partition"], data["version"]) == (
        "flights[k1]@3", "flights", "k1", 3,
    )  # fmt: skip
    assert (data["epoch"], data["columns"]) == (5, {"a": "h"})
    assert {"fingerprint", "rows", "uri", "hash", "run", "schema"} <= data.keys()
    assert "parts" not in data
    assert outbox.waiting == {"all": 2, "public": 1}


def test_ids_are_of_a_state_of_a_unit(tmp_path: Path) -> None:
    outbox = an_outbox(filled(tmp_path, {}), all="")
    (once,) = events(outbox.rows(a_version("daily", "k1", 1)))
    (again,) = events(outbox.rows(a_version("daily", "k1", 1)))
    (other,) = events(outbox.rows(a_version("daily", "k1", 2)))
    assert once[1].key == again[1].key != other[1].key


def test_a_head_that_goes_back_and_one_that_goes_are_told(tmp_path: Path) -> None:
    path = filled(tmp_path, {"version": [version("daily", "k1", 1, columns="{}")]})
    outbox = an_outbox(path, all="")
    back = Update("upsert", "validity", [validity("daily", "k1", 9, 1)])
    gone = Update("upsert", "validity", [validity("daily", "k1", 10, None)])
    (first, second) = events(outbox.rows([back, gone]))
    assert first[1].attributes["subject"] == "daily[k1]@1"
    assert second[1].attributes["type"] == "dev.afresh.version.deleted"
    assert json.loads(second[1].data)["version"] is None


def test_what_new_definitions_leave_out_is_not_told_as_deleted(tmp_path: Path) -> None:
    """It comes back with those of before, and who reads it would have lost it meanwhile."""
    path = filled(tmp_path, {"version": [version("daily", "k1", 1, columns="{}")]})
    outbox = an_outbox(path, all="")
    out = Update("upsert", "validity", [validity("daily", "k1", 10, None)])
    assert outbox.rows([Update("insert", "definitions", [{"epoch": 10}]), out]) == []
    assert len(events(outbox.rows([out]))) == 1


def test_of_a_stream_it_says_where_the_rows_are(tmp_path: Path) -> None:
    outbox = an_outbox(filled(tmp_path, {}), all="")
    ((_, event),) = events(outbox.rows(a_version("daily", "", 4, start_row=2, end_row=9)))
    assert json.loads(event.data)["parts"] == [{"uri": "daily", "skip": 2, "rows": 9}]


def test_a_version_says_how_deep_it_is(tmp_path: Path) -> None:
    outbox = an_outbox(filled(tmp_path, {}), all="")
    outbox._depth = lambda asset, run: 4 if (asset, run) == ("daily", "r7") else 0
    updates = [*a_version("daily", "", 4, run="r7"), *a_version("flights", "k", 1)]
    (deep, flat) = [event for _, event in events(outbox.rows(updates))]
    assert deep.attributes["afreshdepth"] == "4"
    assert "afreshdepth" not in flat.attributes
    news = read_news(deep, "daily", 1.0)
    assert news is not None
    assert news.arrival.depth == 4


def test_one_unit_may_be_chosen_and_other_rows_are_nobodys(tmp_path: Path) -> None:
    outbox = an_outbox(filled(tmp_path, {}), one="daily[k1]")
    rows = [*a_version("daily", "k1", 1), *a_version("daily", "k2", 1)]
    assert [e.attributes["subject"] for _, e in events(outbox.rows(rows))] == ["daily[k1]@1"]
    assert outbox.rows([Update("insert", "event", [{"seq": 1}])]) == []


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    waiting = {"number": 41, "target": "all", "payload": "{}", "at": 1.0}
    outbox = an_outbox(filled(tmp_path, {"outgoing": [waiting]}), all="")
    assert outbox.waiting == {"all": 1}
    assert outbox.rows(a_version("daily", "", 1))[0].rows[0]["number"] == 42


def test_a_put_row_is_read(tmp_path: Path) -> None:
    path = filled(tmp_path, {})
    put(path, {"outgoing": [{"number": 1, "target": "t", "payload": "{}", "at": 1.0}]})
    assert an_outbox(path, all="").waiting == {"all": 0, "t": 1}
