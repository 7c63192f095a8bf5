import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import anyio
import anyio.to_thread
import pytest

from afresh.assets.errors import UsageError
from afresh.daemon.config import load_settings
from afresh.daemon.outgoing.base import Delivered
from afresh.daemon.outgoing.delivery import ALERT_AFTER, Delivery
from afresh.daemon.outgoing.file import FileTarget
from afresh.daemon.outgoing.load import build_target, check_outgoing, target_name
from afresh.daemon.outgoing.outbox import Outbox
from afresh.daemon.outgoing.webhook import WebhookTarget
from afresh.sensors.cloudevents import from_json, to_json
from afresh.sensors.upstreams.events import read as read_news
from afresh.storage.ledger.commit import Commit, Update
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


class Ledger:
    """Applies deletions of the outbox."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left: dict[int, str] = {}

    def read(self, _sql: str, _parameters: Any) -> list[tuple[int, str]]:
        return list(self.left.items())

    async def commit(self, commit: Commit) -> None:
        for row in commit.updates[0].rows:
            del self.left[row["number"]]


class Target:
    def __init__(self, answers: list[Delivered | Exception]) -> None:
        self.answers = answers
        self.got: list[list[bytes]] = []
        self.closed = False

    async def deliver(self, events: Sequence[bytes]) -> Delivered:
        self.got.append(list(events))
        answer = self.answers.pop(0) if self.answers else Delivered(len(events))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        self.closed = True


async def deliver(tmp_path: Path, answers: list[Any]) -> tuple[Target, list[Any], Ledger]:
    ledger, target, told = Ledger(tmp_path), Target(answers), list[Any]()
    ledger.left = {1: "a", 2: "b", 3: "c"}
    outbox = an_outbox(filled(tmp_path, {}), all="")
    outbox.waiting["all"] = 3
    delivery = Delivery(
        "all",
        target,
        outbox,
        ledger=ledger,  # type: ignore[arg-type]
        read=ledger.read,
        require=(),
        random=Random(1),
        alert=lambda subject, error: told.append((subject, error)),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(delivery.run)
        with anyio.fail_after(5):
            while ledger.left:  # noqa: ASYNC110 - it tells nobody
                await anyio.sleep(0.001)
        ledger.left = {4: "d"}
        outbox.waiting["all"] += 1
        outbox.tell()
        await anyio.wait_all_tasks_blocked()
        assert not ledger.left
        assert outbox.waiting["all"] == 0
        tasks.cancel_scope.cancel()
    assert target.closed
    return target, told, ledger


async def test_events_are_delivered_in_order_until_all_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.daemon.outgoing.delivery.FIRST_PAUSE_SECONDS", 0.001)
    target, told, _ = await deliver(tmp_path, [Delivered(0, "down"), Delivered(2, "cut")])
    assert target.got == [[b"a", b"b", b"c"], [b"a", b"b", b"c"], [b"c"], [b"d"]]
    assert told == []


async def test_a_fault_of_a_target_is_a_failure_of_its_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.daemon.outgoing.delivery.FIRST_PAUSE_SECONDS", 0.001)
    target, told, _ = await deliver(tmp_path, [UnicodeError("label too long")] * ALERT_AFTER)
    assert target.got[-2:] == [[b"a", b"b", b"c"], [b"d"]]
    assert told[0] == ("outgoing all", "label too long (3 events wait)")


async def test_of_an_answer_that_does_not_end_only_the_beginning_is_read() -> None:
    """And the events after it are posted all the same."""
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000
    seen: list[bytes] = []

    def serve(server: socket.socket) -> None:
        for _ in range(2):
            client, _ = server.accept()
            with client, suppress(OSError):
                seen.append(client.recv(100_000))
                while True:
                    client.sendall(endless)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        target = WebhookTarget(url, secret=None, now=lambda: 0.0, timeout_seconds=5)
        event = to_json({"id": "1", "source": "/x", "type": "t"}, {})
        with anyio.fail_after(10):
            assert await target.deliver([event, event]) == Delivered(2)
        await anyio.to_thread.run_sync(thread.join)
    assert len(seen) == 2


async def test_who_is_down_for_long_is_alerted_once_and_once_when_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.daemon.outgoing.delivery.FIRST_PAUSE_SECONDS", 0.001)
    _, told, _ = await deliver(tmp_path, [Delivered(0, "down")] * (ALERT_AFTER + 2))
    assert [subject for subject, _ in told] == ["outgoing all"] * 2
    assert told[0][1].startswith("down (3 events wait)")
    assert told[1][1] == ""


async def test_a_file_gets_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out" / "versions.jsonl"
    target = FileTarget(str(path))
    assert await target.deliver([b"1", b"2"]) == Delivered(2)
    with path.open("ab") as file:
        file.write(b'{"torn')
    assert await target.deliver([b"3"]) == Delivered(1)
    assert path.read_bytes() == b"1\n2\n3\n"
    path.write_bytes(b"x" * 200_000)
    await target.deliver([b"4"])
    assert path.read_bytes() == b"4\n"
    path.unlink()
    path.mkdir()
    assert (await target.deliver([b"5"])).taken == 0


GOOD = """
name = "shop"
[[outgoing]]
kind = "file"
path = "out/versions.jsonl"
select = "tag:public"
[[outgoing]]
kind = "webhook"
url = "https://example.org/hooks/x"
secret = { env = "X" }
[[outgoing]]
kind = "kafka"
servers = "127.0.0.1:9092"
topic = "versions"
name = "bus"
"""


def test_targets_are_settings(tmp_path: Path) -> None:
    (tmp_path / "afresh.toml").write_text(GOOD)
    settings = load_settings(str(tmp_path), {})
    assert settings.name == "shop"
    assert [target_name(table) for table in settings.outgoing] == [
        "file:out/versions.jsonl",
        "webhook:example.org",
        "bus",
    ]
    for table in settings.outgoing:
        assert build_target(table, project=str(tmp_path), now=lambda: 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "outgoing = 5",
        '[[outgoing]]\nkind = "mail"',
        '[[outgoing]]\nkind = "file"',
        '[[outgoing]]\nkind = "file"\npath = "x"\nurl = "y"',
        '[[outgoing]]\nkind = "file"\npath = 5',
        '[[outgoing]]\nkind = "webhook"\nurl = "http://x"\nsecret = "hunter2"',
        '[[outgoing]]\nkind = "file"\npath = "x"\n[[outgoing]]\nkind = "file"\npath = "x"',
        '[[outgoing]]\nkind = "file"\npath = "x"\nselect = "a,,b"',
        '[[outgoing]]\nkind = "webhook"\nurl = "hunter2.example"',
        '[[outgoing]]\nkind = "webhook"\nurl = "https://me:hunter2@x.example/y"',
        '[[outgoing]]\nkind = "kafka"\nservers = "127.0.0.1"\ntopic = "t"',
        '[[outgoing]]\nkind = "kafka"\nservers = "127.0.0.1:1"\ntopic = "a b"',
        '[[outgoing]]\nkind = "kafka"\nservers = "x.example:1"\ntopic = "t"',
        '[[outgoing]]\nkind = "kafka"\nservers = "127.0.0.1:1"\ntopic = "t"\nsecurity = 5',
        (
            '[[outgoing]]\nkind = "kafka"\nservers = "127.0.0.1:1"\ntopic = "t"\n'
            '[outgoing.security]\nsasl = "PLAIN"\nusername = "me"\npassword = "hunter2"'
        ),
    ],
)
def test_wrong_targets_are_told_and_no_secret_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "afresh.toml").write_text(text)
    with pytest.raises(UsageError, match="Expected") as raised:
        load_settings(str(tmp_path), {})
    assert "hunter2" not in str(raised.value)


def test_plaintext_to_a_broker_beyond_this_machine_is_a_choice() -> None:
    table = {"kind": "kafka", "servers": ["kafka.example:9092"], "topic": "t"}
    with pytest.raises(ValueError, match="TLS"):
        check_outgoing([table])
    (checked,) = check_outgoing([{**table, "allow_plaintext": True}])
    assert build_target(checked, project="/", now=lambda: 1.0)


def test_a_put_row_is_read(tmp_path: Path) -> None:
    path = filled(tmp_path, {})
    put(path, {"outgoing": [{"number": 1, "target": "t", "payload": "{}", "at": 1.0}]})
    assert an_outbox(path, all="").waiting == {"all": 0, "t": 1}
