"""Alerts: what is told to whom, and what a notifier that is at fault costs."""

from typing import Any

import anyio
import pytest

from afresh.daemon.notifiers import alerts as module
from afresh.daemon.notifiers.alerts import TRIES, Alerts, load_notices
from afresh.daemon.notifiers.base import Alert, Notifier, NotifierError
from afresh.storage.ledger.commit import Commit, Done
from afresh.storage.ledger.memory import MemoryLedger


class Ledger:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.updates: list[tuple[str, str, str]] = []

    def submit(self, commit: Commit, done: Done) -> None:
        for update in commit.updates:
            if update.table == "alert":
                self.updates.append((update.op, update.table, update.rows[0]["subject"]))
        done(None)


class Told(Notifier):
    """Takes down what it is told, after it has raised what it is given."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.tries = 0
        self.told: list[tuple[str, str]] = []

    async def notify(self, alert: Alert) -> None:
        self.tries += 1
        await anyio.lowlevel.checkpoint()
        if self.faults:
            raise self.faults.pop(0)
        self.told.append((alert.subject, alert.state))


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)


def made(*notifiers: Notifier, open_subjects: set[str] | None = None) -> tuple[Alerts, Ledger]:
    ledger: Any = Ledger()
    return Alerts(notifiers, ledger, (), lambda: 7.0, open_subjects or set()), ledger


async def delivered(alerts: Alerts) -> None:
    """Let all that waits be told."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alerts.run)
        with anyio.fail_after(60):
            await alerts.drain()
        tasks.cancel_scope.cancel()


async def test_a_failure_and_a_recovery_are_told_and_recorded_once() -> None:
    told = Told()
    alerts, ledger = made(told)
    for _ in range(2):
        alerts.failed("daily", "boom", ("boom",), "ann")
    for _ in range(2):
        alerts.recovered("daily", "ann")
    await delivered(alerts)
    assert told.told == [("daily", "failed"), ("daily", "recovered")]
    assert ledger.updates == [("upsert", "alert", "daily"), ("delete", "alert", "daily")]


async def test_what_an_earlier_daemon_told_is_not_told_again_but_its_recovery_is() -> None:
    told = Told()
    alerts, _ = made(told, open_subjects={"daily"})
    alerts.failed("daily", "boom", (), "ann")
    alerts.recovered("daily", "ann")
    await delivered(alerts)
    assert told.told == [("daily", "recovered")]


@pytest.mark.parametrize("fault", [NotifierError("down"), RuntimeError("a fault of its own")])
async def test_a_notifier_that_fails_is_tried_again_and_holds_up_no_other(fault: Exception) -> None:
    twice, never, well = Told(fault, fault), Told(*[fault] * TRIES), Told()
    alerts, _ = made(twice, never, well)
    alerts.failed("daily", "boom", (), "ann")
    await delivered(alerts)
    assert (twice.tries, twice.told) == (3, [("daily", "failed")])
    assert (never.tries, never.told) == (TRIES, [])
    assert well.told == [("daily", "failed")]


async def test_a_stop_waits_for_nothing_where_nobody_is_told() -> None:
    alerts, ledger = made()
    alerts.failed("daily", "boom", (), "ann")
    with anyio.fail_after(60):
        await alerts.drain()
    assert ledger.updates == [("upsert", "alert", "daily")]


async def test_what_a_kill_cut_off_is_told_by_the_next_daemon_with_the_same_keys() -> None:
    ledger = MemoryLedger()
    read = ledger.reader.rows
    cut = Alerts([Told()], ledger, (), lambda: 7.0, set())
    cut.failed("daily", "boom", ("boom", "bang"), "ann")
    cut.recovered("daily", "ann")
    left = load_notices(read)
    assert [(notice.alert.subject, notice.alert.state) for notice in left] == [
        ("daily", "failed"),
        ("daily", "recovered"),
    ]
    keys: list[str] = []

    class Keys(Notifier):
        async def notify(self, alert: Alert) -> None:
            keys.append(alert.key)

    following = Alerts([Keys()], ledger, (), lambda: 8.0, set(), waiting=left)
    following.failed("weekly", "boom", (), "ann")
    await delivered(following)
    assert keys[:2] == [notice.alert.key for notice in left]
    assert len(keys) == 3
    assert load_notices(read) == []
