from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from afresh.assets.errors import UsageError
from afresh.assets.manifest import Manifest, Sensor, Source
from afresh.daemon.api import by_hand
from afresh.daemon.api.offline import finish
from afresh.daemon.api.operations import perform
from afresh.sensors.base import Batch, Identity
from afresh.sensors.records import Record, decode_records, encode_records
from support.ledgers import event, run, unit, version
from support.views import NOW, FakeControls, FakeView, filled, put

MANIFEST = Manifest(
    "d",
    (
        Source("flights", Sensor("file", {"pattern": "landing/{day}.csv"}), ("day",)),
        Source("orders", Sensor("webhook", {}), stream=True),
    ),
)
PAYLOAD = encode_records([Record(b"1")])


def stream(seq: int, **given: Any) -> dict[str, Any]:
    own = {"source": "orders", "sensor": "orders", "partition": "", "uri": f"webhook:/h#{seq}"}
    return event(seq, **{**own, "payload": PAYLOAD, **given})


def do(
    folder: Path,
    op: str,
    *rows: dict[str, Any],
    in_time: bool = True,
    more: Mapping[str, Sequence[dict[str, Any]]] | None = None,
    **params: Any,
) -> tuple[Any, FakeControls]:
    paths = [{"sensor": "flights", "uri": "landing/k1.csv", "identity": "[1,2,3,4]", "seq": 1}]
    view = FakeView(filled(folder, {"event": rows, "path": paths, **(more or {})}))
    view.manifest = MANIFEST
    controls = FakeControls(in_time=in_time)
    return finish(perform(view, controls, op, {"request": "q", **params})), controls


def data(*values: bytes) -> list[str]:
    return [b64encode(value).decode() for value in values]


def test_records_are_emitted_into_a_stream(tmp_path: Path) -> None:
    answer, controls = do(tmp_path, "emit", source="orders", data=data(b'{"a":1}', b"2"), key="k")
    (batch,) = controls.batches
    (arrival,) = batch.arrivals
    assert answer == {
        "seq": 100, "source": "orders", "partition": "", "kind": "arrived", "uri": "emit:q",
    }  # fmt: skip
    at = int(NOW * 1000)
    assert decode_records(arrival.payload) == [
        Record(b'{"a":1}', b"k", (), at),
        Record(b"2", b"k", (), at),
    ]


def test_a_key_may_be_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    _, controls = do(tmp_path, "emit", source="orders", data=data(b"1"), key="k\udcff")
    (record,) = decode_records(controls.batches[0].arrivals[0].payload)
    assert record.key == b"k\xff"


@pytest.mark.parametrize(
    "given",
    [{"path": "landing/k1.csv"}, {"partition": "k1"}, {"path": "landing/k1.csv", "key": "x"}],
)
def test_a_file_is_looked_at_again_by_its_path_or_partition(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    _, controls = do(tmp_path, "emit", event(1), source="flights", **given)
    (arrival,) = controls.batches[0].arrivals
    assert (arrival.uri, arrival.partition) == ("landing/k1.csv", "k1")
    assert arrival.identity == Identity(1, 2, 3, 4)


def test_a_file_that_never_came_may_be_named(tmp_path: Path) -> None:
    _, controls = do(tmp_path, "emit", source="flights", path="landing/new.csv")
    (arrival,) = controls.batches[0].arrivals
    assert (arrival.uri, arrival.partition, arrival.identity) == ("landing/new.csv", "new", None)


@pytest.mark.parametrize(
    "given",
    [
        {"source": "flihgts"},
        {"source": "orders"},
        {"source": "orders", "path": "x", "data": ["MQ=="]},
        {"source": "flights"},
        {"source": "flights", "data": ["MQ=="]},
        {"source": "flights", "path": "elsewhere/x.csv"},
        {"source": "flights", "path": "landing/\udcff.csv"},
        {"source": "flights", "partition": "never"},
    ],
)
def test_what_cannot_be_emitted_says_the_way_out(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="Expected") as raised:
        do(tmp_path, "emit", **given)
    assert raised.value.hint


def test_files_of_a_range_are_looked_at_again_once_each(tmp_path: Path) -> None:
    events = [
        event(1, state="ingested"),
        event(2, uri="landing/k1.csv", partition="k1", state="unchanged"),
        event(3, kind="deleted", state="ingested"),
        event(4, state="rejected"),
        event(5, state="pending"),
        event(6, source="", kind="code", state="ingested"),
        event(7, source="gone", state="ingested"),
        event(8, state="ingested"),
    ]
    rows, controls = do(tmp_path, "replay", *events, events="1..7")
    assert [row["event"] for row in rows if row["replay"] is not None] == [1, 4]
    assert [row["replay"] for row in rows if row["replay"] is not None] == [100, 101]
    assert all(row["reason"] for row in rows if row["replay"] is None)
    assert rows[1]["reason"] == "its file is looked at once, for an earlier event of this range"
    assert [row["event"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    (batch,) = controls.batches
    assert [arrival.uri for arrival in batch.arrivals] == ["landing/k1.csv", "landing/k4.csv"]
    assert ("wait", [("flights", "k1"), ("flights", "k4")], None) in controls.asked


def test_records_that_are_there_are_appended_again_only_if_asked(tmp_path: Path) -> None:
    events = [
        stream(1, state="ingested"),
        stream(2, state="rejected"),
        stream(3, state="ingested", payload=b""),
        stream(4, state="ingested", uri="replay://x"),
        stream(5, kind="gap", state="dead", payload=b""),
        stream(6, state="dead"),
    ]
    rows, controls = do(tmp_path, "replay", *events, events="1..")
    assert [row["event"] for row in rows if row["replay"] is not None] == [2]
    (tmp_path / "again").mkdir()
    rows, controls = do(tmp_path / "again", "replay", *events, events="1..", again=True)
    assert [row["event"] for row in rows if row["replay"] is not None] == [1, 2]
    first = controls.batches[0].arrivals[0]
    # Without an identity nothing is remembered of it, without a place no range is covered twice.
    assert (first.payload, first.position, first.identity) == (PAYLOAD, "", None)


def test_rows_that_are_dropped_since_are_not_said_to_be_there(tmp_path: Path) -> None:
    spans = [(0, 5), (0, 10), (5, 15)]
    events = [stream(seq, state="ingested", run=f"run{seq}") for seq in (1, 2, 3)]
    made = [
        version("orders", "", number, start_row=start, end_row=end, uri="")
        for number, (start, end) in enumerate(spans, 1)
    ]
    runs = [run(f"run{number}", "orders", version=number) for number in (1, 2, 3)]
    more = {"version": made, "run": runs, "unit": [unit("orders", version=3)]}
    rows, _ = do(tmp_path, "replay", *events, more=more, events="1..")
    assert ["dropped since" in row["reason"] for row in rows] == [True, False, False]
    assert ["rows are there" in row["reason"] for row in rows] == [False, True, True]


@pytest.mark.parametrize(("in_time", "says"), [(False, "the time is over"), (True, "it waits")])
def test_what_was_not_read_says_why(tmp_path: Path, *, in_time: bool, says: str) -> None:
    read = event(100, state="rejected", detail="it is bad")
    rows, controls = do(
        tmp_path, "replay", event(1, state="ingested"), event(2, state="ingested"), read,
        in_time=in_time, events="1..2", timeout=5.0,
    )  # fmt: skip
    assert [row["state"] for row in rows] == ["rejected", "pending"]
    assert rows[0]["reason"] == "it is bad"
    assert says in rows[1]["reason"]
    assert controls.asked[-1] == ("wait", [("flights", "k1"), ("flights", "k2")], 5.0)


@pytest.mark.parametrize(("in_time", "says"), [(False, "the time is over"), (True, "it waits")])
def test_a_letter_that_was_not_tried_says_why(tmp_path: Path, *, in_time: bool, says: str) -> None:
    letter = {
        "seq": 1, "number": 0, "source": "orders", "partition": "", "place": "{}", "reason": "bad",
        "record": PAYLOAD, "state": "replaying", "run": "r1", "at": 1.0, "replay_seq": 100,
    }  # fmt: skip
    path = filled(tmp_path, {})

    class Takes(FakeControls):
        async def replay_letters(
            self, request: str, source: str, letters: Sequence[tuple[int, int, bytes]]
        ) -> list[tuple[int, int]]:
            del request, source, letters
            put(path, {"dead_letter": [letter]})
            return [(1, 0)]

    view = FakeView(path)
    view.manifest = MANIFEST
    params = {"request": "q", "source": "orders", "timeout": 5.0}
    (row,) = finish(perform(view, Takes(in_time=in_time), "replay_letters", params))
    assert row["state"] == "replaying"
    assert says in row["error"]


def test_an_empty_range_changes_nothing(tmp_path: Path) -> None:
    rows, controls = do(tmp_path, "replay", events="5..9")
    assert rows == []
    assert controls.batches == []


def test_a_wide_range_is_brought_again_by_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "PAGE", 2)

    class Pages(FakeControls):
        """Records into the ledger: what is brought again is at the end of the journal itself."""

        sizes: ClassVar[list[int]] = []

        async def record(self, request: str, op: str, batches: Sequence[Batch]) -> list[int]:
            self.asked.append((op, request))
            new = [arrival for batch in batches for arrival in batch.arrivals]
            self.sizes.append(len(new))
            first = 100 + sum(self.sizes[:-1])
            rows = [stream(first + n, state="ingested", uri=a.uri) for n, a in enumerate(new)]
            put(path, {"event": rows})
            return [row["seq"] for row in rows]

    events = [stream(seq, state="ingested") for seq in range(1, 6)]
    path = filled(tmp_path, {"event": [*events, event(6, state="ingested")]})
    view, controls = FakeView(path), Pages()
    view.manifest = MANIFEST
    params = {"request": "q", "events": "1..", "again": True}
    rows = finish(perform(view, controls, "replay", params))
    assert [(row["event"], row["replay"]) for row in rows] == [
        (seq, seq + 99) for seq in range(1, 7)
    ]
    assert controls.sizes == [2, 2, 2]
    assert controls.asked[:3] == [("replay", "q"), ("replay", "q/1"), ("replay", "q/2")]
    units = [("orders", ""), ("flights", "k6")]
    assert controls.asked[3:] == [("wait", units, None)]


def test_a_replay_that_is_asked_for_again_brings_nothing_of_its_own(tmp_path: Path) -> None:
    events = [stream(1, state="ingested"), stream(100, state="ingested")]
    answered = {"id": "q", "op": "replay", "at": 1.0, "response": "[100]"}
    view, controls = (
        FakeView(filled(tmp_path, {"event": events, "request": [answered]})),
        (FakeControls()),
    )
    view.manifest = MANIFEST
    params = {"request": "q", "events": "1..", "again": True}
    rows = finish(perform(view, controls, "replay", params))
    assert [(row["event"], row["replay"]) for row in rows] == [(1, 100)]
