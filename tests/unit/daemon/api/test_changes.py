from pathlib import Path
from typing import Any

import pytest

from afresh.assets.errors import UsageError
from afresh.daemon.api.offline import finish
from afresh.daemon.api.operations import OPERATIONS, perform
from support.ledgers import run
from support.views import FakeControls, FakeView, filled, looks

UNITS = (
    looks("flights", "k1"),
    looks("daily", "k1", "failed", None),
    looks("daily", "k2", "blocked", 1),
    looks("total", "", "fresh", 2),
)


@pytest.fixture
def view(tmp_path: Path) -> FakeView:
    rows = [run("r1", "total"), run("r2", "total"), run("r3", "daily", "k1")]
    made = FakeView(filled(tmp_path, {"run": rows}), UNITS)
    made.rows = [{"sensor": "flights", "kind": "file", "source": "flights", "state": "watching"}]
    return made


def do(view: FakeView, controls: FakeControls, op: str, **params: Any) -> Any:
    return finish(perform(view, controls, op, {"request": "q", **params}))


def test_materialize_asks_for_whole_assets_and_answers_with_their_units(view: FakeView) -> None:
    controls = FakeControls()
    rows = do(view, controls, "materialize", selection="total", force=True)
    assert controls.asked[1] == ("materialize", "q", [("total", "*")], True)
    assert rows == [
        {"asset": "total", "partition": "", "version": 2, "run": "r2", "state": "fresh"}
    ]


@pytest.mark.parametrize(
    ("selection", "partitions", "units"),
    [
        ("daily[k1]", None, [("daily", "k1")]),
        ("daily", "k2..k9", [("daily", "k2")]),
        ("+total", None, [("flights", "*"), ("daily", "*"), ("total", "*")]),
        ("state:failed", None, [("daily", "k1")]),
    ],
)
def test_what_is_asked_for(
    view: FakeView, selection: str, partitions: str | None, units: list[tuple[str, str]]
) -> None:
    controls = FakeControls()
    do(view, controls, "materialize", selection=selection, partitions=partitions)
    assert controls.asked[1][2] == units


@pytest.mark.parametrize("partitions", ["k1", "..", "k2..k1"])
def test_a_range_that_is_none_is_refused(view: FakeView, partitions: str) -> None:
    with pytest.raises(UsageError):
        do(view, FakeControls(), "materialize", selection="daily", partitions=partitions)


def test_wait_scans_first_and_names_what_failed(view: FakeView) -> None:
    controls = FakeControls()
    assert do(view, controls, "wait", timeout=5.0) == {
        "settled": True,
        "failed": ["daily[k1]"],
        "blocked": ["daily[k2]"],
    }
    assert controls.asked == [("scan_all", 5.0), ("wait", None, 5.0)]


def test_the_time_of_wait_is_that_of_the_scan_too(view: FakeView) -> None:
    controls = FakeControls(left=2.0)
    assert do(view, controls, "wait", timeout=5.0)["settled"]
    assert controls.asked[1] == ("wait", None, 2.0)
    controls = FakeControls(left=0.0)
    assert not do(view, controls, "wait", timeout=5.0)["settled"]
    assert controls.asked == [("scan_all", 5.0)]


def test_wait_for_a_selection_looks_at_that_alone(view: FakeView) -> None:
    controls = FakeControls(in_time=False)
    answer = do(view, controls, "wait", selection="total")
    assert answer == {"settled": False, "failed": [], "blocked": []}
    assert controls.asked[1] == ("wait", [("total", "*")], None)


def test_cancel_of_a_run_that_is_over_is_refused(view: FakeView) -> None:
    assert do(view, FakeControls(), "cancel", run="r1") == {"run": "r1", "state": "cancelled"}
    with pytest.raises(UsageError):
        do(view, FakeControls(), "cancel", run="r9")


def test_pause_and_resume_name_what_they_did(view: FakeView) -> None:
    controls = FakeControls()
    assert do(view, controls, "pause", selection="daily") == {"paused": ["daily"]}
    assert do(view, controls, "resume", selection="daily[k1]") == {"resumed": ["daily[k1]"]}
    assert controls.asked == [
        ("pause", "q", "asset", [("daily", "*")]),
        ("resume", "q", "asset", [("daily", "k1")]),
    ]


@pytest.mark.parametrize("action", ["pause", "resume", "scan", "reset"])
def test_a_sensor_is_named_and_an_unknown_one_refused(view: FakeView, action: str) -> None:
    controls = FakeControls()
    do(view, controls, f"sensor_{action}", sensor="flights")
    assert controls.asked[0][0] == action
    with pytest.raises(UsageError) as refused:
        do(view, FakeControls(), f"sensor_{action}", sensor="flight")
    assert "flights" in refused.value.hint


def test_an_unknown_operation_and_a_change_without_a_daemon_are_refused(view: FakeView) -> None:
    with pytest.raises(UsageError):
        do(view, FakeControls(), "nope")
    with pytest.raises(UsageError, match="daemon"):
        finish(perform(view, None, "stop", {}))


def test_every_operation_reads_or_changes() -> None:
    assert all((op.read is None) != (op.change is None) for op in OPERATIONS.values())
