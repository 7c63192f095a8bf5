"""Which rows pauses leave: the last word on each counts, and one on the whole ends all before."""

import pytest

from afresh.daemon.pauses import switch_rows
from afresh.storage.ledger import queries
from afresh.storage.ledger.commit import Commit
from afresh.storage.ledger.memory import MemoryLedger
from afresh.storage.ledger.state import PauseRow

Said = tuple[str, bool]
"""A key, or `*` for all, and whether it is paused or resumed."""


def rows_after(*said: Said) -> set[tuple[str, str]]:
    ledger = MemoryLedger()
    for key, on in said:
        paused = [PauseRow(*row) for row in ledger.reader.rows(queries.PAUSES)]
        updates = switch_rows("asset", [("a", key)], paused, 1.0, on=on)
        ledger.submit(Commit(tuple(updates)), lambda _error: None)
    return {(kind, key) for kind, _, key, _ in ledger.reader.rows(queries.PAUSES)}


@pytest.mark.parametrize(
    ("said", "rows"),
    [
        ([("k", True)], {("asset", "k")}),
        ([("k", True), ("k", False)], set()),
        ([("k", False)], set()),
        ([("k", True), ("*", True), ("*", False)], set()),
        ([("*", True), ("k", False)], {("asset", "*"), ("resumed", "k")}),
        ([("*", True), ("k", False), ("k", True)], {("asset", "*"), ("asset", "k")}),
        ([("*", True), ("k", False), ("*", True)], {("asset", "*")}),
        ([("*", True), ("k", False), ("*", False)], set()),
        ([("*", True), ("", False)], {("asset", "*"), ("resumed", "")}),
    ],
)
def test_the_last_word_counts(said: list[Said], rows: set[tuple[str, str]]) -> None:
    assert rows_after(*said) == rows


def test_a_sensor_and_an_asset_of_one_name_are_two() -> None:
    paused = [PauseRow("asset", "a", "*", 1.0), PauseRow("resumed", "a", "", 1.0)]
    (update,) = switch_rows("sensor", [("a", "")], paused, 2.0, on=True)
    assert (update.op, [row["kind"] for row in update.rows]) == ("upsert", ["sensor"])
    assert switch_rows("sensor", [("a", "")], paused, 2.0, on=False) == []
