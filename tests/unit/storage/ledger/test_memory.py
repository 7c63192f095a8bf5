"""What a simulator needs of a ledger in memory: faults, crashes, and what is left after them."""

from functools import partial
from typing import TYPE_CHECKING

import pytest

from afresh.assets.errors import LedgerUnavailable
from afresh.storage.ledger.memory import MemoryLedger
from support.ledgers import event, insert

if TYPE_CHECKING:
    from collections.abc import Callable

SEQS = "SELECT seq FROM event ORDER BY seq"


def test_answers_come_within_submit_unless_told_otherwise() -> None:
    taken: list[Exception | None] = []
    later: list[Callable[[], None]] = []
    MemoryLedger().submit(insert("event", event(1)), taken.append)
    assert taken == [None]
    ledger = MemoryLedger(later.append)
    ledger.submit(insert("event", event(1)), taken.append)
    assert taken == [None]
    later.pop()()
    assert taken == [None, None]


async def test_failures_that_were_asked_for_come_in_order() -> None:
    ledger = MemoryLedger()
    ledger.fail_next(LedgerUnavailable("first"))
    ledger.fail_next(LedgerUnavailable("second"))
    for said in ("first", "second"):
        with pytest.raises(LedgerUnavailable, match=said):
            await ledger.commit(insert("event", event(1)))
    await ledger.commit(insert("event", event(1)))
    assert await ledger.rows(SEQS) == [(1,)]


@pytest.mark.parametrize(("lose_answer", "answered"), [(False, [1, 2]), (True, [1])])
def test_a_crash_keeps_what_is_durable_and_answers_no_more(
    lose_answer: bool, answered: list[int]
) -> None:
    ledger = MemoryLedger()
    ledger.crash_after(2, lose_answer=lose_answer)
    taken: list[int] = []

    def take(seq: int, _: Exception | None) -> None:
        taken.append(seq)

    for seq in (1, 2, 3):
        ledger.submit(insert("event", event(seq)), partial(take, seq))
    assert ledger.crashed
    assert taken == answered
    after = ledger.snapshot()
    assert after.reader.rows(SEQS) == [(1,), (2,)]
    assert not after.crashed


async def test_a_snapshot_goes_its_own_way() -> None:
    ledger = MemoryLedger()
    await ledger.commit(insert("event", event(1)))
    other = ledger.snapshot()
    await other.commit(insert("event", event(2)))
    await ledger.commit(insert("event", event(3)))
    assert await ledger.rows(SEQS) == [(1,), (3,)]
    assert await other.rows(SEQS) == [(1,), (2,)]
