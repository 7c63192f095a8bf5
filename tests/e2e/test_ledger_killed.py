"""A process killed while it commits: what was acknowledged is there, nothing is half (P1)."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from support.processes import within_block

pytestmark = pytest.mark.e2e

WRITER = """
import sys
from pathlib import Path
import anyio
from afresh.storage.ledger.commit import Commit, Update
from afresh.storage.ledger.lease import acquire_lease
from afresh.storage.ledger.lock import Holder
from afresh.storage.ledger.sqlite import SqliteLedger

async def main():
    path, start = Path(sys.argv[1]), int(sys.argv[2])
    lease = acquire_lease(path, Holder("test", 1, "here", 1.0))
    ledger = SqliteLedger(path)
    def commit(seq):
        event = {"seq": seq, "sensor": "s", "source": "s", "partition": "", "kind": "arrived",
                 "uri": "u", "observed_at": 1.0, "state": "pending"}
        cursor = {"sensor": "s", "value": str(seq), "updated_at": 1.0}
        return Commit((Update("insert", "event", (event,)), Update("upsert", "cursor", (cursor,))),
                      (lease.require,))
    def acknowledge(seq):
        return lambda error: print(seq if error is None else error, flush=True)
    seq = start
    while True:
        for _ in range(1 + seq % 7):
            ledger.submit(commit(seq), acknowledge(seq))
            seq += 1
        await anyio.sleep(0.0005)

anyio.run(main)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    chance = random.Random(7)
    start = 1
    for term in range(1, 6):
        command = [sys.executable, "-c", WRITER, str(path), str(start)]
        started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with within_block(started) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randrange(1, 300)):
                writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
            last = int(["0", *writer.stdout.read().split()][-1])
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            count, highest = connection.execute("SELECT COUNT(*), MAX(seq) FROM event").fetchone()
            assert highest >= last
            assert count == highest
            assert connection.execute("SELECT value FROM cursor").fetchone() == (str(highest),)
            assert connection.execute("SELECT term FROM lease").fetchone() == (term,)
        start = highest + 1
