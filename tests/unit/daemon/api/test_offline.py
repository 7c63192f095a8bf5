from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from afresh.assets.errors import LedgerUnavailable
from afresh.daemon.api.offline import OfflineView, finish
from afresh.daemon.api.operations import perform
from afresh.daemon.config import Settings
from support.views import MANIFEST, NOW, put, story


def offline(path: Path) -> OfflineView:
    return OfflineView(Settings(project=str(path.parent), file="", ledger=str(path)), lambda: NOW)


def with_definitions(path: Path) -> Path:
    row = {
        "epoch": 1,
        "digest": "d",
        "manifest": msgspec.msgpack.encode(MANIFEST),
        "loaded_at": 1.0,
    }
    put(path, {"definitions": [row]})
    return path


def test_the_state_is_rebuilt_from_the_ledger(tmp_path: Path) -> None:
    view = offline(with_definitions(story(tmp_path)))
    rows = finish(perform(view, None, "status", {}))
    assert [(row["asset"], row["partition"], row["version"]) for row in rows] == [
        ("flights", "k1", 2),
        ("flights", "k2", 1),
        ("daily", "k1", 2),
        ("daily", "k2", 1),
        ("total", "", 2),
    ]


def test_history_needs_no_state(tmp_path: Path) -> None:
    view = offline(with_definitions(story(tmp_path)))
    assert len(finish(perform(view, None, "lineage", {"ref": "total"}))["edges"]) == 4
    assert "planner" not in vars(view)


def test_sensors_are_said_not_to_watch(tmp_path: Path) -> None:
    (row,) = finish(perform(offline(with_definitions(story(tmp_path))), None, "sensors", {}))
    assert list(row) == [
        "sensor", "kind", "source", "state", "cursor", "lag", "last_event_at", "error",
        "hint", "note", "last_error", "last_error_at",
    ]  # fmt: skip
    assert (row["state"], row["lag"]) == ("paused", 0)
    assert row["last_event_at"] == "1970-01-01T00:01:43.000000Z"
    assert "no daemon" in row["error"]


def test_a_ledger_without_definitions_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable) as raised:
        finish(perform(offline(story(tmp_path)), None, "status", {}))
    assert "afresh up" in raised.value.hint


def test_an_operation_that_waits_is_a_fault() -> None:
    class Waits:
        def __await__(self) -> Generator[None]:
            yield

    with pytest.raises(AssertionError):
        finish(Waits())
