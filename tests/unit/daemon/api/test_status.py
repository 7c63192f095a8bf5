from pathlib import Path
from typing import Any

import pytest

from afresh.assets.errors import UsageError
from afresh.assets.planner.view import Reason, UnitView
from afresh.daemon.api import status
from afresh.daemon.api.offline import finish
from support.ledgers import ledger_file, run
from support.views import FakeView, filled, looks

UNITS = (
    looks("flights", "k1"),
    looks("flights", "k2", "failed", None, Reason("rejected", "k2.csv:3: a word in delay")),
    looks("daily", "k1", "fresh", 4, Reason("code", "its code is newer")),
    looks("total", "", "stale", 2, Reason("waiting", "flights[k1] may change")),
)


def view(folder: Path, *units: UnitView) -> FakeView:
    return FakeView(ledger_file(folder), units or UNITS)


def test_a_row_has_the_promised_keys_and_values(tmp_path: Path) -> None:
    rows = finish(status.status(view(tmp_path), {"selection": "flights"}))
    assert rows[1] == {
        "asset": "flights",
        "partition": "k2",
        "state": "failed",
        "version": None,
        "epoch": 3,
        "updated_at": "1970-01-01T00:00:10.000000Z",
        "reasons": ["rejected: k2.csv:3: a word in delay"],
    }


def test_why_a_fresh_unit_is_left_behind_is_one_word(tmp_path: Path) -> None:
    (row,) = finish(status.status(view(tmp_path), {"selection": "daily"}))
    assert row["reasons"] == ["code"]


@pytest.mark.parametrize(
    ("selection", "refs"),
    [
        (None, ["flights[k1]", "flights[k2]", "daily[k1]", "total"]),
        ("flights[k1]", ["flights[k1]"]),
        ("state:failed", ["flights[k2]"]),
        ("flights[k*],state:fresh", ["flights[k1]"]),
        ("daily+", ["daily[k1]", "total"]),
        ("total daily", ["daily[k1]", "total"]),
    ],
)
def test_a_selection_chooses_in_the_order_of_the_graph(
    tmp_path: Path, selection: str | None, refs: list[str]
) -> None:
    rows = finish(status.status(view(tmp_path), {"selection": selection}))
    assert [refs_of(row) for row in rows] == refs


def test_pages_end_where_the_next_begins(tmp_path: Path) -> None:
    first = finish(status.status(view(tmp_path), {"limit": 2}))
    second = finish(status.status(view(tmp_path), {"limit": 2, "after": refs_of(first[-1])}))
    assert [refs_of(row) for row in first + second] == [
        "flights[k1]", "flights[k2]", "daily[k1]", "total",
    ]  # fmt: skip


def test_a_page_goes_on_after_a_unit_that_is_no_longer_covered(tmp_path: Path) -> None:
    params = {"selection": "daily+", "after": "flights[k2]"}
    rows = finish(status.status(view(tmp_path), params))
    assert [refs_of(row) for row in rows] == ["daily[k1]", "total"]
    with pytest.raises(UsageError):
        finish(status.status(view(tmp_path), {"after": "nope"}))


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        finish(status.status(view(tmp_path), {"selection": "nope"}))


def test_the_summary_counts(tmp_path: Path) -> None:
    assert finish(status.summary(view(tmp_path), {})) == {"fresh": 2, "failed": 1, "stale": 1}


def test_the_table_has_a_line_an_asset_with_its_worst_reason(tmp_path: Path) -> None:
    lines = finish(status.table(view(tmp_path), {}))
    assert [line["asset"] for line in lines] == ["flights", "daily", "total"]
    assert lines[0]["states"] == {"fresh": 1, "failed": 1}
    assert lines[0]["reason"] == "rejected: k2.csv:3: a word in delay"


def test_others_may_run_in_the_middle_of_a_long_answer(tmp_path: Path) -> None:
    many = view(tmp_path, *(looks("flights", f"k{i}") for i in range(1200)))
    finish(status.status(many, {}))
    assert many.breaths == 2


def test_a_plan_tells_what_will_from_what_may_run(tmp_path: Path) -> None:
    path = filled(
        tmp_path,
        {
            "run": [
                run("r1", "total", started_at=1.0, ended_at=3.0),
                run("r2", "total", ended_at=2.0),
            ]
        },
    )
    units = (
        looks("total", "", "stale", 1, will_run=True),
        looks("daily", "k1", "stale", 1, Reason("waiting", "flights[k1] may change")),
        looks("flights", "k1"),
    )
    rows = finish(status.plan(FakeView(path, units), {}))
    assert [(row["asset"], row["action"], row["est_seconds"]) for row in rows] == [
        ("total", "will", 1.5),
        ("daily", "if_changed", None),
    ]


def refs_of(row: dict[str, Any]) -> str:
    return f"{row['asset']}[{row['partition']}]" if row["partition"] else str(row["asset"])
