from pathlib import Path
from typing import Any

from afresh.daemon.api.offline import finish
from afresh.daemon.api.rejected import rejected
from afresh.sensors.records import Record, encode_records
from support.ledgers import run
from support.views import FakeView, filled


def letter(seq: int, at: float) -> dict[str, Any]:
    return {
        "seq": seq, "number": 0, "source": "flights", "partition": "", "place": "{}",
        "reason": "no number", "record": encode_records([Record(b"x")]), "state": "dead",
        "run": "r9", "at": at, "replay_seq": None,
    }  # fmt: skip


def test_data_and_records_are_listed_newest_first_so_many_in_all(tmp_path: Path) -> None:
    data = [
        run(name, "flights", state="rejected", error="broken", ended_at=at)
        for name, at in (("r1", 10.0), ("r2", 30.0))
    ]
    letters = [letter(1, 20.0), letter(2, 40.0)]
    view = FakeView(filled(tmp_path, {"run": data, "dead_letter": letters}))
    places = [row["place"] for row in finish(rejected(view, {}))]
    assert places == ["2.0", "r2", "1.0", "r1"]
    for limit in range(5):
        rows = finish(rejected(view, {"limit": limit}))
        assert [row["place"] for row in rows] == places[:limit]
