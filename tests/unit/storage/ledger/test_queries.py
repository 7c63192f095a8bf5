"""The reads of the ledger, on a small history."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from afresh.storage.ledger import listings, queries
from afresh.storage.ledger.commit import Commit, Update
from afresh.storage.ledger.memory import MemoryLedger
from afresh.storage.ledger.state import load_paths, load_state
from afresh.storage.ledger.units import Units
from support.ledgers import (
    event,
    insert,
    lineage,
    run,
    unit,
    validity,
    version,
)

Rows = Callable[..., list[tuple[Any, ...]]]


def put(ledger: MemoryLedger, table: str, *rows: dict[str, Any]) -> None:
    errors: list[Exception | None] = []
    for row in rows:
        ledger.submit(insert(table, row), errors.append)
    assert errors == [None] * len(rows)


@pytest.fixture
def ledger() -> MemoryLedger:
    """Flights of two days, the first changed at 3 and removed at 5; totals over both days."""
    made = MemoryLedger()
    put(
        made,
        "event",
        event(1, partition="d1", state="ingested", epoch=1),
        event(2, partition="d2", state="ingested", epoch=2),
        event(3, partition="d1", state="ingested", epoch=3),
        event(4, partition="d2", state="pending"),
        event(5, partition="", source="", state="unmatched"),
    )
    put(
        made,
        "unit",
        unit("flights", "d1", version=2, epoch=5, deleted=True),
        unit("flights", "d2", version=1, epoch=2, code_stale=True),
        unit("totals", "", version=2, epoch=3),
        unit("empty", "", version=None, epoch=0, failed_run="r9"),
    )
    put(
        made,
        "version",
        version("flights", "d1", 1, epoch=1),
        version("flights", "d1", 2, epoch=3),
        version("flights", "d2", 1, epoch=2),
        version("totals", "", 1, epoch=2, run="r1"),
        version("totals", "", 2, epoch=3, run="r2"),
        version("totals", "", 3, epoch=3, run="r2"),
    )
    put(
        made,
        "validity",
        validity("flights", "d1", 1, 1),
        validity("flights", "d1", 3, 2),
        validity("flights", "d1", 5, None),
        validity("flights", "d2", 2, 1),
        validity("totals", "", 2, 1),
        validity("totals", "", 3, 2),
    )
    put(
        made,
        "run",
        run("r1", "totals", epoch=2, version=1),
        run("r2", "totals", epoch=3, version=2),
        run("r2", "extra", epoch=3, version=None, state="failed"),
        run("r3", "own", "d1", epoch=3, version=1),
        run("r9", "empty", state="running", ended_at=None, started_at=9.0),
    )
    put(
        made,
        "lineage",
        lineage("r1", "flights", "flights", epoch=2),
        lineage("r2", "flights", "flights", epoch=4),
        lineage("r3", "flights", "flights", epoch=3, reads="own", partition="d1", version=2),
        lineage("r3", "totals", "totals", epoch=3, version=2),
    )
    return made


def _texts() -> list[str]:
    return [name for name in vars(queries) if name.isupper() and not name.startswith("_")]


@pytest.mark.parametrize("name", _texts())
def test_every_query_runs(ledger: MemoryLedger, name: str) -> None:
    text = getattr(queries, name).format(assets=":a0, :a1")
    parameters = dict.fromkeys(re.findall(r":(\w+)", text), 1)
    ledger.reader.rows(text, parameters)


def test_the_position_is_the_highest_seq_and_epoch(ledger: MemoryLedger) -> None:
    assert ledger.reader.rows(queries.POSITION) == [(5, 5)]
    assert MemoryLedger().reader.rows(queries.POSITION) == [(0, 0)]


@pytest.mark.parametrize(
    ("epoch", "there"),
    [
        (0, []),
        (1, [("d1", 1, 1)]),
        (2, [("d1", 1, 1), ("d2", 2, 1)]),
        (4, [("d1", 3, 2), ("d2", 2, 1)]),
        (9, [("d1", 5, None), ("d2", 2, 1)]),
    ],
)
def test_an_asset_as_of_an_epoch(
    ledger: MemoryLedger, epoch: int, there: list[tuple[str, int, int | None]]
) -> None:
    found = ledger.reader.rows(queries.ASSET_AT, {"asset": "flights", "epoch": epoch})
    assert [row[:3] for row in found] == there
    for key, since, number in there:
        parameters = {"asset": "flights", "partition": key, "epoch": epoch}
        assert ledger.reader.rows(queries.UNIT_AT, parameters)[0][:2] == (since, number)


@pytest.mark.parametrize(
    ("asset", "key", "number", "runs"),
    [
        ("flights", "d1", 1, ["r1"]),
        ("flights", "d1", 2, ["r2", "r3"]),
        ("flights", "d2", 1, ["r1", "r2"]),
        ("flights", "d2", 2, []),
        ("totals", "", 2, ["r3"]),
        ("totals", "", 1, []),
    ],
)
def test_which_runs_read_a_version(
    ledger: MemoryLedger, asset: str, key: str, number: int, runs: list[str]
) -> None:
    parameters = {"asset": asset, "partition": key, "version": number}
    found = ledger.reader.rows(queries.RUNS_THAT_READ, parameters)
    assert [row[0] for row in found] == runs


def test_units_are_read_with_the_numbers_of_their_heads(ledger: MemoryLedger) -> None:
    names = ["totals", "flights", "empty"]
    heads = {(row.asset, row.partition): row for row in Units(ledger.reader.rows, names).heads()}
    assert list(heads) == [("empty", ""), ("flights", "d1"), ("flights", "d2"), ("totals", "")]
    assert (heads["totals", ""].version, heads["totals", ""].epoch) == (2, 3)
    assert (heads["flights", "d1"].deleted, heads["flights", "d1"].code_stale) == (True, False)
    assert heads["flights", "d2"].code_stale is True
    assert (heads["empty", ""].version, heads["empty", ""].failed_run) == (None, "r9")


def test_a_start_up_finds_all_that_is_under_way(ledger: MemoryLedger) -> None:
    put(ledger, "pause", {"kind": "sensor", "name": "flights", "partition": "", "at": 1.0})
    put(ledger, "alert", {"subject": "totals", "state": "failed", "since": 1.0, "detail": ""})
    state = load_state(ledger.reader.rows)
    assert (state.seq, state.epoch) == (5, 5)
    assert [(found.seq, found.state) for found in state.pending] == [(4, "pending")]
    assert [(found.run, found.state) for found in state.under_way] == [("r9", "running")]
    assert [(found.kind, found.name) for found in state.pauses] == [("sensor", "flights")]
    assert [found.subject for found in state.alerts] == ["totals"]


def test_what_is_kept_of_some_assets_alone(ledger: MemoryLedger) -> None:
    key = {"asset": "totals", "partition": "", "run_key": "k"}
    put(
        ledger,
        "run_key",
        {**key, "version": 2, "run": "r2"},
        {**key, "asset": "it's", "version": 1, "run": "r3"},
    )
    failed = {**key, "run": "r9", "kind": "raised", "attempts": 2, "at": 1.0, "error": "{}"}
    put(ledger, "failure", failed, {**failed, "asset": "empty"})
    units = Units(ledger.reader.rows, ["flights", "totals", "it's"])
    assert [(row.asset, row.partition) for row in units.heads()] == [
        ("flights", "d1"),
        ("flights", "d2"),
        ("totals", ""),
    ]
    assert [(row.asset, row.attempts) for row in units.failures()] == [("totals", 2)]
    found = sorted((row.asset, row.version) for row in units.run_keys())
    assert found == [("it's", 1), ("totals", 2)]
    whole = list(units.contents())
    assert {row[0] for row in whole} == {"flights", "totals"}
    assert list(units.contents(page=1)) == whole
    assert Units(ledger.reader.rows, ["empty"]).heads()[0].failed_run == "r9"


def test_the_paths_of_a_sensor(ledger: MemoryLedger) -> None:
    rows = [
        {"sensor": sensor, "uri": f"{uri}.csv", "identity": "[1]", "seq": 1}
        for sensor in ("flights", "other")
        for uri in ("a", "b")
    ]
    put(ledger, "path", *rows)
    paths = load_paths(ledger.reader.rows, "flights")
    assert list(paths) == ["a.csv", "b.csv"]
    assert (paths["a.csv"].identity, paths["a.csv"].seq) == ("[1]", 1)


def _page(ledger: MemoryLedger, query: listings.Query) -> list[Any]:
    return ledger.reader.rows(*query)


@pytest.mark.parametrize(
    ("filters", "seqs"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"newest_first": True}, [5, 4, 3, 2, 1]),
        ({"limit": 2}, [1, 2]),
        ({"limit": 2, "after": 2}, [3, 4]),
        ({"newest_first": True, "after": 3}, [2, 1]),
        ({"states": ["pending", "unmatched"]}, [4, 5]),
        ({"sources": ["flights"], "partition": "d1"}, [1, 3]),
        ({"sources": []}, []),
        ({"kinds": ["deleted"]}, []),
    ],
)
def test_events_are_listed_by_page_and_filter(
    ledger: MemoryLedger, filters: dict[str, Any], seqs: list[int]
) -> None:
    assert [row[0] for row in _page(ledger, listings.events(**filters))] == seqs


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["r1 totals", "r2 extra", "r2 totals", "r3 own", "r9 empty"]),
        ({"limit": 2}, ["r1 totals", "r2 extra", "r2 totals"]),
        ({"limit": 1, "after": "r1"}, ["r2 extra", "r2 totals"]),
        ({"limit": 1, "newest_first": True}, ["r9 empty"]),
        ({"after": "r3", "newest_first": True, "limit": 1}, ["r2 extra", "r2 totals"]),
        ({"assets": ["totals"], "limit": 2}, ["r1 totals", "r2 totals"]),
        ({"states": ["failed", "running"]}, ["r2 extra", "r9 empty"]),
        ({"assets": ["own"], "partition": "d1"}, ["r3 own"]),
        ({"assets": []}, []),
    ],
)
def test_runs_are_listed_by_page_and_filter(
    ledger: MemoryLedger, filters: dict[str, Any], found: list[str]
) -> None:
    rows = _page(ledger, listings.runs(**filters))
    assert [f"{row[0]} {row[1]}" for row in rows] == found


def test_versions_are_listed_newest_first_within_their_key(ledger: MemoryLedger) -> None:
    rows = _page(ledger, listings.versions("flights"))
    assert [(row[1], row[2], row[16]) for row in rows] == [("d1", 2, 1), ("d1", 1, 0), ("d2", 1, 1)]
    rows = _page(ledger, listings.versions("flights", after=("d1", 2), limit=1))
    assert [(row[1], row[2]) for row in rows] == [("d1", 1)]
    rows = _page(ledger, listings.versions("flights", after=("d1", 1)))
    assert [(row[1], row[2]) for row in rows] == [("d2", 1)]
    assert len(_page(ledger, listings.versions("flights", partition="d2"))) == 1


def test_rejections_are_listed_newest_first(ledger: MemoryLedger) -> None:
    rows = [
        {"run": name, "asset": asset, "partition": "", "error": "", "cases": "[]", "total": 1}
        for name, asset in (("r1", "a"), ("r2", "b"))
    ]
    put(ledger, "rejection", *rows)
    assert [row[0] for row in _page(ledger, listings.rejections())] == ["r2", "r1"]
    assert [row[0] for row in _page(ledger, listings.rejections(asset="a", limit=5))] == ["r1"]


def test_what_could_not_be_read_is_listed_as_rejected(ledger: MemoryLedger) -> None:
    cases = {"run": "r7", "asset": "a", "partition": "", "error": "", "cases": "[{}]", "total": 1}
    put(
        ledger,
        "run",
        run("r6", "a", state="rejected", error="no CSV"),
        run("r7", "a", state="rejected"),
        run("r8", "a", state="failed"),
    )
    put(ledger, "rejection", cases)
    found = _page(ledger, listings.rejections(asset="a"))
    assert [tuple(row) for row in found] == [
        ("r7", "a", "", "", "[{}]", 1, ""),
        ("r6", "a", "", "no CSV", "[]", 0, ""),
    ]


def test_a_cut_is_looked_up_not_searched(ledger: MemoryLedger) -> None:
    """A change costs what it touches: no query of the hot path may walk a table."""
    hot = ["UNIT_AT", "ASSET_AT", "RUNS_OF_UNIT", "RUN_KEYS", "LINEAGE_OF_RUN", "RUNS_THAT_READ",
           "PENDING_EVENTS", "PENDING_BATCHES", "RUNS_UNDER_WAY"]  # fmt: skip
    for name in hot:
        text = getattr(queries, name).format(assets=":a0, :a1")
        parameters = dict.fromkeys(re.findall(r":(\w+)", text), 1)
        plan = ledger.reader.rows(f"EXPLAIN QUERY PLAN {text}", parameters)
        walked = [row[-1] for row in plan if re.match(r"SCAN (?!CONSTANT)(?!\()", row[-1])]
        assert walked == [], name


def test_who_read_a_whole_asset_is_found_without_those_who_read_a_unit(
    ledger: MemoryLedger,
) -> None:
    """Each run of each partition leaves a row: an asset's may be millions."""
    parameters = {"asset": "flights", "partition": "d1", "version": 1}
    plan = ledger.reader.rows(f"EXPLAIN QUERY PLAN {queries.RUNS_THAT_READ}", parameters)
    searched = [row[-1] for row in plan if row[-1].startswith("SEARCH l ")]
    assert len(searched) == 2
    for step in searched:
        assert "(asset=? AND partition=? AND version=?" in step


@pytest.mark.parametrize("name", ["DELETIONS", "STAGED", "STAGED_SINCE", "BATCHES"])
def test_the_journal_is_not_walked_whole(ledger: MemoryLedger, name: str) -> None:
    """It grows for ever: a start, and what tidies up, look at a part of it."""
    text = getattr(queries, name)
    parameters = dict.fromkeys(re.findall(r":(\w+)", text), 1)
    plan = ledger.reader.rows(f"EXPLAIN QUERY PLAN {text}", parameters)
    assert not [row[-1] for row in plan if re.fullmatch(r"SCAN (e|event)", row[-1])]


def test_patches_are_seen(ledger: MemoryLedger) -> None:
    done: list[Exception | None] = []
    ended = {"run": "r9", "asset": "empty", "state": "interrupted", "ended_at": 9.5}
    ledger.submit(Commit((Update("patch", "run", (ended,)),)), done.append)
    assert done == [None]
    assert ledger.reader.rows(queries.RUNS_UNDER_WAY) == []
