"""One target's task: in order, until all is taken, and told when it is not."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from afresh.assets.manifest import Manifest
from afresh.daemon.outgoing.base import Delivered
from afresh.daemon.outgoing.delivery import ALERT_AFTER, Delivery
from afresh.daemon.outgoing.outbox import Outbox
from afresh.storage.ledger.commit import Commit
from afresh.storage.ledger.reader import Reader
from support.views import filled


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
    outbox = Outbox(
        "shop",
        {"all": ""},
        Reader(filled(tmp_path, {})).rows,
        manifest=lambda: Manifest(""),
        parts=lambda *_: [],
        now=lambda: 7.0,
    )
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
        with anyio.fail_after(60):
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
    # It may have been down when an earlier daemon ended.
    assert told == [("outgoing all", "")]


async def test_a_fault_of_a_target_is_a_failure_of_its_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.daemon.outgoing.delivery.FIRST_PAUSE_SECONDS", 0.001)
    target, told, _ = await deliver(tmp_path, [UnicodeError("label too long")] * ALERT_AFTER)
    assert target.got[-2:] == [[b"a", b"b", b"c"], [b"d"]]
    assert told[0] == ("outgoing all", "label too long (3 events wait)")


async def test_who_is_down_for_long_is_alerted_once_and_once_when_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.daemon.outgoing.delivery.FIRST_PAUSE_SECONDS", 0.001)
    _, told, _ = await deliver(tmp_path, [Delivered(0, "down")] * (ALERT_AFTER + 2))
    assert [subject for subject, _ in told] == ["outgoing all"] * 2
    assert told[0][1].startswith("down (3 events wait)")
    assert told[1][1] == ""
