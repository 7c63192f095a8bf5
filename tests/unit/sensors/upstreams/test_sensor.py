import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import msgspec
import pytest

from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Source
from afresh.daemon.outgoing.event import Origin, committed, deleted
from afresh.sensors import env, upstream
from afresh.sensors.base import Arrival, Batch, SensorContext
from afresh.sensors.records import Record, encode_records
from afresh.sensors.upstreams.lines import LineSensor, Place
from afresh.sensors.upstreams.sensor import Cursor, UpstreamSensor
from support.hooks import Ledger
from support.watching import until


def an_event(key: str, version: int, epoch: int, *, begun: int = 5, asset: str = "orders") -> bytes:
    valid = {"asset": asset, "partition": key, "epoch": epoch, "run": "r", "version": version}
    row = {
        "version": version, "fingerprint": f"f{version}", "columns": "{}", "rows": 3, "bytes": 9,
        "uri": f"/there/{version}.parquet", "hash": f"h{version}", "schema_version": "s",
        "code_version": "c", "run": "r", "created_at": 1.0,
    }  # fmt: skip
    return committed(Origin("shop", begun), valid, row, ()).encode()


def a_deletion(key: str, epoch: int) -> bytes:
    valid = {"asset": "orders", "partition": key, "epoch": epoch, "run": "r", "version": None}
    return deleted(Origin("shop", 5), valid, 1.0).encode()


def a_context(folder: Path, ledger: Ledger, cursor: str = "") -> SensorContext:
    declared = upstream(f"file://{folder}/x.jsonl", asset="orders", partitions="day").declared()
    return SensorContext(
        source=Source("orders", declared.sensor, declared.captures),
        project=str(folder),
        staging=str(folder),
        cursor=cursor,
        known=ledger.known_rows,
        now=lambda: 7.0,
        random=Random(1),
        tell=lambda: None,
    )


async def told(sensor: UpstreamSensor, ledger: Ledger, *events: bytes, cursor: str = "{}") -> None:
    payload = encode_records([Record(event) for event in events])
    arrival = Arrival("lines:1/0", "arrived", "", 7.0, payload=payload)
    await sensor._hand_on(Batch("orders", (arrival,), cursor), ledger.emit)


def short(ledger: Ledger) -> list[tuple[str, str | None, Any]]:
    return [
        (a.kind, a.partition, json.loads(a.position)["ref"] if a.position else None)
        for a in ledger.arrivals
    ]


async def test_events_of_our_asset_are_arrivals(tmp_path: Path) -> None:
    ledger = Ledger()
    sensor = UpstreamSensor(a_context(tmp_path, ledger))
    await told(sensor, ledger, an_event("k1", 1, 4), an_event("k1", 1, 4, asset="other"))
    ((batch),) = ledger.batches
    (arrival,) = batch.arrivals
    assert arrival.uri == "afresh/shop/orders[k1]"
    assert json.loads(arrival.position)["parts"] == [
        {"uri": "/there/1.parquet", "hash": "h1", "skip": 0, "rows": 3}
    ]
    assert msgspec.json.decode(batch.cursor, type=Cursor) == Cursor("{}")


async def test_what_came_before_is_no_news_also_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger()
    first = [an_event("k1", 1, 4), an_event("k1", 2, 5), an_event("k2", 1, 5), a_deletion("k2", 6)]
    for _ in range(2):
        cursor = ledger.batches[-1].cursor if ledger.batches else ""
        sensor = UpstreamSensor(a_context(tmp_path, ledger, cursor))
        await told(sensor, ledger, *first, *first[2:])
    assert short(ledger) == [
        ("arrived", "k1", "orders[k1]@1"),
        ("arrived", "k1", "orders[k1]@2"),
        ("arrived", "k2", "orders[k2]@1"),
        ("deleted", "k2", None),
    ]
    # A head that goes back is news, and so is a ledger that was begun anew.
    await told(sensor, ledger, an_event("k1", 1, 9), an_event("k1", 1, 2, begun=6))
    assert short(ledger)[4:] == [("arrived", "k1", "orders[k1]@1")] * 2
    await told(sensor, ledger, an_event("k1", 3, 99))
    assert len(ledger.arrivals) == 6


async def test_of_what_has_other_keys_it_is_said_that_it_waits(tmp_path: Path) -> None:
    ledger = Ledger()
    sensor = UpstreamSensor(a_context(tmp_path, ledger))
    await told(sensor, ledger, an_event("", 1, 4), an_event("k1", 1, 5), an_event("k1,eu", 1, 6))
    whole, fits, more = ledger.arrivals
    assert "Expected a key of day, found ''" in whole.detail
    assert "found 'k1,eu'" in more.detail
    assert fits.detail == ""
    assert sensor.health.note == "2 events have other keys than partitions= says and wait"


async def test_states_of_one_unit_are_handed_on_one_after_the_other(tmp_path: Path) -> None:
    ledger = Ledger()
    sensor = UpstreamSensor(a_context(tmp_path, ledger))
    await told(sensor, ledger, an_event("k1", 1, 4), a_deletion("k1", 5), an_event("k1", 2, 6))
    assert [len(batch.arrivals) for batch in ledger.batches] == [1, 1, 1]
    assert [bool(batch.cursor) for batch in ledger.batches] == [False, False, True]


async def test_gaps_are_passed_on_and_what_is_strange_is_counted(tmp_path: Path) -> None:
    ledger = Ledger()
    sensor = UpstreamSensor(a_context(tmp_path, ledger))
    gap = Arrival("kafka://t/0", "gap", "", 7.0, detail="offsets 3 to 9 are lost")
    await sensor._hand_on(Batch("orders", (gap,), "2"), ledger.emit)
    event = an_event("k", 1, 1)
    strange = [
        b"{}",
        b"\xff",
        b'{"specversion":"1.0"}',
        event.replace(b'"rows"', b'"cows"'),
        event.replace(b'"bytes":9', b'"bytes":1e999'),
        event.replace(b'"bytes":9', b'"bytes":' + b"[" * 100_000 + b"]" * 100_000),
        event.replace(b'"id":"', b'"id":"\\ud800'),
    ]
    assert len(set(strange)) == 7
    await told(sensor, ledger, *strange, cursor="3")
    assert short(ledger) == [("gap", "", None)]
    assert "7 events" in sensor.health.note
    assert msgspec.json.decode(ledger.batches[-1].cursor, type=Cursor).at == "3"


async def test_records_of_a_webhook_and_staged_ones_are_read(tmp_path: Path) -> None:
    ledger = Ledger()
    sensor = UpstreamSensor(a_context(tmp_path, ledger))
    event = json.loads(an_event("k1", 1, 4))
    data = json.dumps(event.pop("data")).encode()
    headers = tuple((f"ce_{name}", value.encode()) for name, value in event.items())
    staged = tmp_path / "batch"
    staged.write_bytes(encode_records([Record(data, b"id", headers)]))
    arrival = Arrival("webhook:/x#1", "arrived", "", 7.0, staged=str(staged))
    await sensor._hand_on(Batch("orders", (arrival,)), ledger.emit)
    assert short(ledger) == [("arrived", "k1", "orders[k1]@1")]
    assert not staged.exists()


async def lines(folder: Path, ledger: Ledger, cursor: str = "") -> LineSensor:
    context = a_context(folder, ledger, cursor)
    source = msgspec.structs.replace(
        context.source,
        sensor=msgspec.structs.replace(
            context.source.sensor, options={"file": f"{folder}/x.jsonl"}
        ),
    )
    return LineSensor(replace(context, source=source))


def values(ledger: Ledger) -> list[bytes | None]:
    from afresh.sensors.records import decode_records

    return [r.value for a in ledger.arrivals for r in decode_records(a.payload)]


async def test_lines_on_their_way_are_not_quiet(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.hold = anyio.Event()
    (tmp_path / "x.jsonl").write_bytes(b"1\n")
    async with anyio.create_task_group() as tasks:
        sensor = await lines(tmp_path, ledger)
        tasks.start_soon(sensor.run, ledger.emit)
        await until(lambda: not sensor.is_quiet)
        ledger.hold.set()
        await until(lambda: sensor.is_quiet)
        assert values(ledger) == [b"1"]
        tasks.cancel_scope.cancel()


async def test_lines_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afresh.sensors.upstreams.lines.POLL_SECONDS", 0.001)
    ledger, path = Ledger(), tmp_path / "x.jsonl"
    async with anyio.create_task_group() as tasks:
        sensor = await lines(tmp_path, ledger)
        tasks.start_soon(sensor.run, ledger.emit)
        await until(lambda: sensor.checked)
        path.write_bytes(b"1\n2\n3")
        await until(lambda: values(ledger) == [b"1", b"2"])
        with path.open("ab") as file:
            file.write(b"3\n\n4\n")
        await until(lambda: values(ledger) == [b"1", b"2", b"33", b"4"])
        path.rename(tmp_path / "old")
        with (tmp_path / "old").open("ab") as file:
            file.write(b"5\n")
        await until(lambda: values(ledger)[4:] == [b"5"])
        path.write_bytes(b"6\n")
        await until(lambda: values(ledger)[5:] == [b"6"])
        tasks.cancel_scope.cancel()
    place = msgspec.json.decode(ledger.batches[-1].cursor, type=Place)
    assert place == Place(path.stat().st_ino, 2)
    async with anyio.create_task_group() as tasks:
        sensor = await lines(tmp_path, ledger, ledger.batches[-1].cursor)
        tasks.start_soon(sensor.run, ledger.emit)
        with path.open("ab") as file:
            file.write(b"7\n")
        await until(lambda: values(ledger)[6:] == [b"7"])
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("url", "given", "kind"),
    [
        ("file:///a/b.jsonl", {}, "lines"),
        ("webhook:/hooks/x", {"secret": env("X")}, "webhook"),
        ("webhook:/hooks/x", {"secret": None}, "webhook"),
        ("kafka://127.0.0.1:9092/versions", {}, "kafka"),
    ],
)
def test_where_events_come_from(url: str, given: Mapping[str, Any], kind: str) -> None:
    declared = upstream(url, asset="shop.orders", partitions=("region", "day"), **given).declared()
    assert declared.sensor.options["kind"] == kind
    assert declared.captures == ("region", "day")
    assert not declared.stream
    assert ("path" in declared.sensor.options) is (kind == "webhook")


@pytest.mark.parametrize(
    "given",
    [
        {"url": "ftp://x/y"},
        {"url": "file://host/x"},
        {"url": "kafka://127.0.0.1:9092"},
        {"url": "kafka://kafka.example:9092/versions"},
        {"url": 5},
        {"asset": ""},
        {"asset": "orders[k1]"},
        {"asset": "orders@3"},
        {"partitions": "a b"},
        {"partitions": 5},
        {"url": "webhook:/x", "secret": "hunter2"},
    ],
)
def test_what_is_wrong_is_told(given: dict[str, Any]) -> None:
    given = {"url": "file:///x", "asset": "orders", **given}
    with pytest.raises(DefinitionError, match="Expected") as raised:
        upstream(given.pop("url"), **given).declared()
    assert "hunter2" not in str(raised.value)
