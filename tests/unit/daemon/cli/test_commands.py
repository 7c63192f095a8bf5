"""What the commands that report print, over a ledger alone."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from afresh.daemon.api.wire import HEADER, encode, size_of, socket_path
from afresh.daemon.cli.sensors import _people as show_sensors
from afresh.storage.ledger.lock import Holder, take
from support.commands import Commands
from support.ledgers import event, run, unit
from support.views import put


def test_status_as_json_has_a_row_a_unit(afresh: Commands) -> None:
    ran = afresh("status", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert [row["asset"] for row in ran.json] == ["flights", "flights", "daily", "daily", "total"]
    assert list(ran.json[0]) == [
        "asset", "partition", "state", "version", "epoch", "updated_at", "reasons",
    ]  # fmt: skip


def test_status_has_a_line_an_asset_unless_partitions_are_asked_for(afresh: Commands) -> None:
    assert len(afresh("status").out.splitlines()) == 4
    assert len(afresh("status", "--partitions").out.splitlines()) == 6
    assert "[" not in afresh("status").out


def test_pages_of_status(afresh: Commands) -> None:
    first = afresh("status", "--json", "--limit", "2").json
    rest = afresh("status", "--json", "--after", "flights[k2]").json
    assert [row["partition"] for row in first] == ["k1", "k2"]
    assert [row["asset"] for row in rest] == ["daily", "daily", "total"]


def test_json_may_stand_before_the_command(afresh: Commands) -> None:
    assert afresh("--json", "versions", "total").json[0]["ref"] == "total@2"


@pytest.mark.parametrize(
    "command",
    [
        ("status", "--summary"),
        ("plan",),
        ("versions", "daily"),
        ("why", "total"),
        ("events",),
        ("runs",),
        ("runs", "daily"),
        ("logs", "r08"),
        ("sensors",),
        ("lineage", "total"),
        ("lineage", "flights[k1]@1", "--down"),
        ("lineage", "total", "--collapse", "--columns"),
    ],
)
def test_every_report_exits_0_prints_lines_and_one_json_value(
    afresh: Commands, command: tuple[str, ...]
) -> None:
    people, machine = afresh(*command), afresh(*command, "--json")
    assert (people.code, machine.code, people.err, machine.err) == (0, 0, "", "")
    assert people.out.endswith("\n")
    assert isinstance(machine.json, list | dict)


@pytest.mark.parametrize("command", ["status", "plan", "events", "runs", "sensors"])
def test_a_project_that_has_never_run_has_nothing_and_says_so(
    fresh_afresh: Commands, command: str
) -> None:
    ran = fresh_afresh(command, "--json")
    assert (ran.code, ran.json) == (0, [])
    assert "afresh up" in ran.err


@pytest.mark.parametrize("selection", ["daily[", "daily,,total", "a]"])
@pytest.mark.parametrize("command", ["status", "plan"])
def test_what_is_no_selection_is_refused_before_anything_has_run(
    fresh_afresh: Commands, command: str, selection: str
) -> None:
    ran = fresh_afresh(command, selection, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert repr(selection)[1:2] in json.loads(ran.err)["error"]
    assert fresh_afresh(command, "!daily[a,b],+total+2 state:stale", "--json").code == 0


@pytest.mark.parametrize("command", [("versions", "x"), ("why", "x"), ("read", "x"), ("verify",)])
def test_what_needs_a_ledger_says_what_to_do(
    fresh_afresh: Commands, command: tuple[str, ...]
) -> None:
    ran = fresh_afresh(*command, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert "afresh up" in json.loads(ran.err)["hint"]


@pytest.mark.parametrize(
    "command",
    [
        ("status", "nope"),
        ("versions", "nope"),
        ("why", "total@9"),
        ("read", "daily"),
        ("lineage", "total["),
        ("logs", "nope"),
        ("events", "--after", "x"),
        ("events", "--limit", "-1"),
        ("events", "--nope"),
        ("read",),
        ("nope",),
        ("sensors", "pause"),
        ("lineage", "total", "--as", "png"),
        ("read", "total", "-o", "total.xyz"),
        ("read", "nope", "-o", "total.xyz"),
        ("status", "daily["),
        ("wait", "--timeout", "nan"),
        ("replay", "flights", "--timeout", "-1"),
        ("events", "--limit", "9" * 30),
        ("rejected", "--limit", "9" * 30),
        ("read", "total", "--limit", "9" * 30),
    ],
)
def test_a_wrong_call_exits_2_with_one_error_on_stderr(
    afresh: Commands, command: tuple[str, ...]
) -> None:
    ran = afresh(*command, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert list(json.loads(ran.err)) == ["error", "hint", "where"]
    people = afresh(*command)
    assert (people.code, people.out) == (2, "")
    assert "error: " in people.err


def test_a_folder_without_a_project_says_how_to_begin(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ran = Commands(tmp_path, capfd)("status")
    assert ran.code == 2
    assert "afresh init" in ran.err


def test_lineage_as_a_tree(afresh: Commands) -> None:
    assert afresh("lineage", "total").out.splitlines() == [
        "total@2  run r08",
        "├─ daily[k1]@2  run r07",
        "│  └─ flights[k1]@2 (source)",
        "└─ daily[k2]@1  run r04",
        "   └─ flights[k2]@1 (source)",
    ]


def test_lineage_of_all_units_is_a_tree_each(afresh: Commands) -> None:
    lines = afresh("lineage", "daily").out.splitlines()
    roots = [line.split()[0] for line in lines if line[0] not in "├└│ "]
    assert roots == ["daily[k1]@2", "daily[k2]@1"]


def test_lineage_as_dot_and_mermaid(afresh: Commands) -> None:
    dot = afresh("lineage", "total", "--as", "dot", "--depth", "1").out.splitlines()
    assert dot[0] == "digraph lineage {"
    assert '  "daily[k1]@2" -> "total@2" [label="r08"];' in dot
    mermaid = afresh("lineage", "total", "--as", "mermaid").out.splitlines()
    assert mermaid[0] == "flowchart LR"
    assert any(line.endswith(" --> n0") for line in mermaid)


def test_why_reads_as_lines_down_to_the_event(afresh: Commands) -> None:
    lines = afresh("why", "total").out.splitlines()
    assert lines[0] == "total@2 is stale"  # the ledger of this story has no run keys
    older = afresh("why", "total@1").out.splitlines()
    assert older[0] == "total@1 is kept"
    assert "landing/k1.csv" in older[-1]


HOSTILE = "k\u202e\x1b[2J\n\u200b\x9b"


@pytest.mark.parametrize(
    "command",
    [("status", "--partitions"), ("events",), ("runs",), ("why", "total"), ("logs", "r20")],
)
def test_hostile_names_and_errors_reach_no_terminal(
    afresh: Commands, command: tuple[str, ...]
) -> None:
    put(
        afresh.folder / ".afresh" / "ledger.sqlite",
        {
            "event": [event(9, partition=HOSTILE, uri=HOSTILE, state="rejected")],
            "unit": [unit("flights", HOSTILE, version=None, code_version="", code_stale=False)],
            "run": [run("r20", "total", error=json.dumps({"error": HOSTILE}), state="failed")],
        },
    )
    for ran in (afresh(*command), afresh(*command, "--json")):
        assert ran.code == 0
        text = ran.out.replace("\n", "")
        assert text.isprintable(), [c for c in text if not c.isprintable()]


def test_logs_print_the_output_as_it_is_into_a_pipe(afresh: Commands) -> None:
    logs = afresh.folder / ".afresh" / "logs"
    logs.mkdir()
    (logs / "r08.log").write_bytes(b"one\n\ttwo\xff\n")
    assert afresh("logs", "r08").out.startswith("one\n\ttwo")
    assert afresh("logs", "r08", "--json").json["output"] == "one\n\ttwo\ufffd\n"


def test_a_name_that_leads_out_of_the_logs_is_no_run(afresh: Commands) -> None:
    assert afresh("logs", "../ledger").code == 2


@pytest.mark.parametrize("option", ["--after", "--since"])
@pytest.mark.parametrize("digits", [30, 5000])
def test_after_every_seq_there_is_nothing(afresh: Commands, option: str, digits: int) -> None:
    ran = afresh("events", option, "9" * digits, "--json")
    assert (ran.code, ran.json) == (0, [])


def test_follow_needs_a_daemon(afresh: Commands) -> None:
    ran = afresh("events", "--follow")
    assert ran.code == 2
    assert "afresh up" in ran.err


def test_stop_without_a_daemon_has_nothing_to_do(afresh: Commands) -> None:
    ran = afresh("stop", "--json")
    assert (ran.code, ran.json) == (0, {"stopped": False})


def test_stop_does_not_take_a_daemon_that_is_starting_for_none(
    afresh: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.daemon.cli.call._START_SECONDS", 0.0)
    held = take(afresh.folder / ".afresh", Holder("afresh", 1, "here", 0.0))
    ran = afresh("stop", "--json")
    held.release()
    assert (ran.code, ran.out) == (2, "")
    assert "socket" in json.loads(ran.err)["error"]


@contextmanager
def ending(state: Path, *frames: dict[str, Any]) -> Iterator[None]:
    """Have a daemon that is asked, says so much and is gone."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path(str(state)))
        listener.listen()
        listener.settimeout(60)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                size = size_of(connection.recv(HEADER, socket.MSG_WAITALL))
                connection.recv(size, socket.MSG_WAITALL)
                connection.sendall(b"".join(map(encode, frames)))

        daemon = threading.Thread(target=serve, daemon=True)
        daemon.start()
        yield
        daemon.join()


def test_a_daemon_that_ends_when_asked_leaves_the_ledger_to_answer(afresh: Commands) -> None:
    with ending(afresh.folder / ".afresh"):
        ran = afresh("status", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.json) == 5


REPLAYED = {
    "event": 1, "replay": 9, "source": "flights", "partition": "k1", "kind": "arrived", "uri": "u",
    "reason": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "code"),
    [("ingested", 0), ("unchanged", 0), ("skipped", 0), ("rejected", 1), ("pending", 1)],
)
def test_a_replay_that_did_not_come_to_an_end_exits_1(
    afresh: Commands, state: str, code: int
) -> None:
    row = REPLAYED | {"state": state}
    with ending(afresh.folder / ".afresh", {"id": "q", "result": [row]}):
        ran = afresh("replay", "--events", "1", "--timeout", "1", "--json")
    assert (ran.code, ran.json) == (code, [row])


@pytest.mark.parametrize("frames", [[], [{"id": "q", "line": {"type": "following"}}]])
def test_what_is_followed_ends_with_the_daemon(
    afresh: Commands, frames: list[dict[str, Any]]
) -> None:
    with ending(afresh.folder / ".afresh", *frames):
        ran = afresh("events", "--follow")
    assert ran.code == 0
    assert [json.loads(line)["seq"] for line in ran.out.splitlines()] == [1, 2, 3]
    assert "ended" in ran.err


def test_what_is_wrong_with_a_sensor_comes_with_the_way_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {
        "sensor": "orders", "kind": "kafka", "state": "failed", "lag": 0, "last_event_at": None,
        "cursor": "", "error": "Expected a topic 'orders', found none", "hint": "make it",
        "note": "at work", "last_error": "gone", "last_error_at": "2026-11-21T09:00:00.000000Z",
    }  # fmt: skip
    show_sensors([row, row | {"error": None, "hint": None, "state": "watching"}])
    out = capsys.readouterr().out
    assert "Expected a topic 'orders', found none (make it)" in out
    assert "at work; failed at 2026-11-21 09:00:00: gone" in out
