"""A ledger that contradicts itself is found out, each contradiction by its name."""

from typing import Any

import pytest

from afresh.storage.ledger.check import check_ledger
from afresh.storage.ledger.commit import Commit, Update
from afresh.storage.ledger.memory import MemoryLedger
from support.ledgers import event, insert, lineage, run, unit, validity, version


@pytest.fixture
def ledger() -> MemoryLedger:
    made = MemoryLedger()
    commits = [
        insert("event", event(1, partition="d1", state="ingested", epoch=1)),
        insert("path", {"sensor": "flights", "uri": "a", "identity": "", "seq": 1}),
        insert("unit", unit("flights", "d1"), unit("totals")),
        insert(
            "version",
            version("flights", "d1", 1, run="i1", state="head"),
            version("totals", "", 1, run="r1"),
        ),
        insert("validity", validity("flights", "d1", 1, 1), validity("totals", "", 1, 1)),
        insert("run", run("i1", "flights", "d1"), run("r1", "totals")),
        insert("lineage", lineage("r1", "flights", "flights")),
        insert("run_key", {"asset": "totals", "partition": "", "run_key": "k", "version": 1,
                           "run": "r1"}),
    ]  # fmt: skip
    for commit in commits:
        _put(made, commit)
    return made


def _put(ledger: MemoryLedger, commit: Commit) -> None:
    errors: list[Exception | None] = []
    ledger.submit(commit, errors.append)
    assert errors == [None]


def test_a_whole_ledger_has_no_findings(ledger: MemoryLedger) -> None:
    assert check_ledger(ledger.reader) == []
    assert check_ledger(MemoryLedger().reader) == []


FLIGHTS = {"asset": "flights", "partition": "d1"}


@pytest.mark.parametrize(
    ("op", "table", "row", "checks"),
    [
        ("patch", "unit", {**FLIGHTS, "version": 7}, {"head", "current"}),
        ("patch", "unit", {**FLIGHTS, "version": None}, {"current"}),
        ("delete", "unit", FLIGHTS, {"unit", "validity_unit"}),
        ("delete", "version", {**FLIGHTS, "version": 1}, {"head", "validity"}),
        ("insert", "version", version("flights", "d1", 2, run="i1", state="head"), {"heads"}),
        ("insert", "version", version("flights", "d1", 3, run="i1"), {"numbers"}),
        ("insert", "version", version("flights", "d1", 2, run="none"), {"version_run"}),
        ("insert", "validity", validity("totals", "", 2, 5), {"validity", "current"}),
        ("insert", "lineage", lineage("r1", "x", "flights", partition="d1", version=9),
         {"lineage"}),
        ("insert", "lineage", lineage("none", "x", "flights"), {"lineage_run"}),
        ("patch", "run_key", {"asset": "totals", "partition": "", "run_key": "k", "version": 4},
         {"run_key"}),
        ("patch", "event", {"seq": 1, "state": "lost"}, {"event_state"}),
        ("patch", "event", {"seq": 1, "kind": "whim"}, {"event_state"}),
        ("patch", "event", {"seq": 1, "epoch": None}, {"event_epoch"}),
        ("patch", "run", {"run": "r1", "asset": "totals", "state": "odd"}, {"run_state"}),
        ("patch", "run", {"run": "r1", "asset": "totals", "ended_at": None}, {"run_end"}),
        ("patch", "version", {**FLIGHTS, "version": 1, "state": "odd"}, {"version_state"}),
        ("patch", "path", {"sensor": "flights", "uri": "a", "seq": 8}, {"path"}),
    ],
)  # fmt: skip
def test_a_contradiction_is_named(
    ledger: MemoryLedger, op: Any, table: str, row: dict[str, Any], checks: set[str]
) -> None:
    _put(ledger, Commit((Update(op, table, (row,)),)))
    assert {finding.check for finding in check_ledger(ledger.reader)} == checks


def test_a_source_whose_epochs_go_back_is_found(ledger: MemoryLedger) -> None:
    _put(ledger, insert("event", event(2, partition="d1", state="ingested", epoch=4)))
    _put(ledger, insert("version", version("flights", "d1", 2, run="i1", epoch=4)))
    assert check_ledger(ledger.reader) == []
    _put(ledger, insert("version", version("flights", "d1", 3, run="i1", epoch=1)))
    found = check_ledger(ledger.reader)
    assert [finding.check for finding in found] == ["epochs"]
    assert found[0].detail == (
        "flights[d1] version 3 is of epoch 1, but version 2 before it is of epoch 4"
    )


def test_a_finding_names_the_unit_as_people_write_it(ledger: MemoryLedger) -> None:
    row = {"asset": "totals", "partition": "", "version": 7}
    _put(ledger, Commit((Update("patch", "unit", (row,)),)))
    details = [finding.detail for finding in check_ledger(ledger.reader)]
    assert details[0] == "totals has version 7 as its head, which does not exist"
