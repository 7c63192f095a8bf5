"""The journal's rows, and what is known beside it so that nobody has to walk it."""

from afresh.daemon.journal import Journal
from afresh.sensors.base import Arrival, Batch
from afresh.storage.ledger import queries
from afresh.storage.ledger.commit import Commit
from afresh.storage.ledger.memory import MemoryLedger


async def _record(ledger: MemoryLedger, journal: Journal, *batches: Batch) -> None:
    recorded = journal.record(batches, 9.0)
    await ledger.commit(Commit(tuple(recorded.updates)))


def _batch(sensor: str, *times: float) -> Batch:
    return Batch(sensor, tuple(Arrival(f"{at}.csv", "arrived", "k", at) for at in times))


async def test_when_a_sensor_brought_something_last_is_in_the_commit() -> None:
    ledger = MemoryLedger()
    journal = Journal(0, ledger.reader.rows)
    await _record(ledger, journal, _batch("a", 1.0, 2.0), _batch("b", 3.0))
    await _record(ledger, journal, _batch("a", 4.0))
    await _record(ledger, journal, Batch("c", (), "cursor"))
    assert ledger.reader.rows(queries.LAST_EVENTS) == [("a", 4.0), ("b", 3.0)]
