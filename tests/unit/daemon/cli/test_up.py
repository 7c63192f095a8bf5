import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from afresh.daemon.api.offline import finish
from afresh.daemon.api.status import table
from afresh.daemon.cli.live import LiveView
from afresh.daemon.cli.up import JsonLines, PlainLines, sentence
from support.ledgers import ledger_file
from support.views import FakeView, looks

RUN = {
    "type": "run", "run": "r1", "asset": "daily", "partition": "k\u202e", "version": 3,
    "state": "failed", "started_at": 1.0, "seconds": 0.25, "error": "boom\x1b[2J",
}  # fmt: skip
EVENT = {
    "type": "event", "seq": 7, "uri": "landing/k.csv", "kind": "arrived", "state": "pending",
    "observed_at": 2.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (EVENT, "event 7: landing/k.csv arrived"),
        (EVENT | {"state": "unmatched"}, "event 7: landing/k.csv arrived (unmatched)"),
        (EVENT | {"state": "ingested"}, ""),
        (RUN | {"partition": "k", "error": None}, "run r1: daily[k]@3 failed in 0.250 s"),
        (RUN | {"state": "running"}, ""),
        ({"type": "missed", "count": 3}, "(3 lines were not shown)"),
        ({"type": "new in a later release"}, ""),
    ],
)
def test_lines_for_people(line: dict[str, Any], text: str) -> None:
    assert sentence(line) == text


def test_plain_lines_begin_with_ready_and_are_safe(capsys: pytest.CaptureFixture[str]) -> None:
    observer = PlainLines()
    observer.ready("1 source")
    observer.event(RUN)
    observer.problem("bad\x1b")
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "ready: 1 source"
    assert lines[1].isprintable()
    assert "boom\\x1b[2J" in lines[1]
    assert err == "bad\\x1b\n"


def test_json_lines_have_a_type_and_iso_times(capsys: pytest.CaptureFixture[str]) -> None:
    observer = JsonLines()
    observer.ready("1 source")
    observer.event(EVENT)
    observer.problem("bad")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == ["ready", "event", "problem"]
    assert lines[1]["observed_at"] == "1970-01-01T00:00:02.000000Z"


@pytest.mark.parametrize("observer", [PlainLines(), JsonLines()])
def test_an_output_that_is_gone_or_full_ends_no_daemon(
    monkeypatch: pytest.MonkeyPatch, observer: PlainLines | JsonLines
) -> None:
    class Full:
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(sys, "stderr", Full())
    observer.ready("1 source")
    observer.event(EVENT)
    observer.problem("bad")


def test_the_live_view_shows_counts_what_ended_and_problems(tmp_path: Path) -> None:
    now = 100.0
    observer = LiveView(lambda: now)
    view = FakeView(
        ledger_file(tmp_path),
        [
            looks("flights", "k1"),
            looks("flights", "k2", "failed", None),
            looks("total", "", "stale"),
        ],
    )
    observer.event(RUN)
    observer.event(RUN | {"run": "r2"})
    observer.problem("flights: the folder is gone")
    console = Console(width=80, record=True, force_terminal=False)
    console.print(observer.render(finish(table(view, {}))))
    text = console.export_text()
    assert "1 fresh  1 failed  1 stale   0.2 runs/s" in text
    assert "boom\\x1b[2J" in text
    assert "the folder is gone" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_live_view_shows_what_is_not_fresh_of_many_assets(tmp_path: Path) -> None:
    units = [looks(f"a{i}") for i in range(100)] + [looks("bad", "", "failed")]
    view = FakeView(ledger_file(tmp_path), units)
    console = Console(width=80, record=True, force_terminal=False)
    console.print(LiveView(lambda: 0.0).render(finish(table(view, {}))))
    text = console.export_text()
    assert "bad" in text
    assert "and 71 more" in text
