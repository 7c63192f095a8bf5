"""The Kafka sensor on a real broker: nothing lost, nothing doubled, nothing silent."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random

import anyio
import pytest

from afresh.assets.errors import SensorError
from afresh.sensors.base import Batch
from afresh.sensors.records import INLINE_BYTES
from support.topics import (
    TopicJournal,
    add_partitions,
    admin,
    delete_topic,
    kafka_sensor,
    make_topic,
    produce,
    producing,
    reading,
    truncate,
)
from support.watching import until

pytestmark = [pytest.mark.integration, pytest.mark.service]


def numbers(start: int, end: int) -> list[bytes]:
    return [b"%d" % number for number in range(start, end)]


async def test_records_come_in_the_order_of_their_partitions(
    kafka_servers: str, staging: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "order", 3)
    async with reading("order", kafka_servers, staging, journal) as sensor:
        values = numbers(0, 3000)
        await produce(kafka_servers, "order", values, partitions=3)
        await until(lambda: len(journal.records) == 3000)
        assert sensor.is_quiet
        assert sensor.checked
        assert sensor.health.lag == 0
    for partition in range(3):
        mine = [record for record in journal.records if record.channel == partition]
        assert [record.offset for record in mine] == list(range(1000))
        assert [record.value for record in mine] == values[partition::3]
    assert journal.gaps == []


async def test_batches_cover_the_topic_without_gap_or_overlap(
    kafka_servers: str, staging: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "cover", 4)
    await produce(kafka_servers, "cover", numbers(0, 2000), partitions=4)
    async with reading("cover", kafka_servers, staging, journal, batch_rows=130):
        await until(lambda: len(journal.records) == 2000)
    assert max(len(json.loads(arrival.position)) for arrival in journal.arrivals) > 1
    for partition, spans in journal.covered().items():
        assert spans[0][0] == 0, partition
        assert spans[-1][1] == 500
        assert all(one[1] == next_one[0] for one, next_one in pairwise(spans))
    assert all(batch.sensor == "things" for batch in journal.batches)
    assert len(journal.batches) >= 2000 / 130


async def test_a_restart_at_any_point_loses_and_doubles_nothing(
    kafka_servers: str, staging: Path
) -> None:
    """Each life of the sensor is cut at another await: before, in and after acknowledgements."""
    journal = TopicJournal()
    random = Random(7)
    await make_topic(kafka_servers, "restarts", 3)
    await produce(kafka_servers, "restarts", numbers(0, 450), partitions=3)
    lives, longest = 0, 0.25
    while (before := len(journal.records)) < 450:
        lives += 1
        sensor = kafka_sensor("restarts", kafka_servers, staging, journal.cursor, batch_rows=40)
        allowed = random.randrange(3)

        async def emit(batch: Batch, left: list[int] = [allowed]) -> None:  # noqa: B006
            if batch.arrivals and not left[0]:
                await anyio.sleep_forever()
            await journal.emit(batch)
            left[0] -= bool(batch.arrivals)
            if left[0] < 0:
                await anyio.sleep_forever()

        with anyio.move_on_after(longest + random.random() / 5):
            await sensor.run(emit)
        if len(journal.records) == before:  # on a busy machine it may not even have connected
            longest *= 1.2
        assert lives < 60
    assert sorted(journal.places) == sorted((p, o) for p in range(3) for o in range(150))
    assert lives > 3


async def test_a_new_source_begins_where_it_is_told(kafka_servers: str, staging: Path) -> None:
    await make_topic(kafka_servers, "starts", 2)
    await produce(kafka_servers, "starts", numbers(0, 10), partitions=2)
    await anyio.sleep(0.05)
    at = datetime.now(UTC)
    await anyio.sleep(0.05)
    await produce(kafka_servers, "starts", numbers(10, 20), partitions=2)
    expected = {
        "beginning": numbers(0, 20),
        "end": [],
        at.isoformat(): numbers(10, 20),
        "2020-01-01T00:00:00Z": numbers(0, 20),
        "2099-01-01T00:00:00Z": [],
    }
    for start, values in expected.items():
        journal = TopicJournal()
        async with reading("starts", kafka_servers, staging, journal, start=start) as sensor:
            await until(lambda sensor=sensor: sensor.checked)
            assert sorted(journal.values, key=int) == values, start
    journal = TopicJournal()
    async with reading("starts", kafka_servers, staging, journal, start={1: 7}) as sensor:
        await until(lambda: sensor.checked)
    assert sorted(journal.places) == [(0, o) for o in range(10)] + [(1, o) for o in range(7, 10)]


async def test_the_end_is_kept_though_nothing_was_read(kafka_servers: str, staging: Path) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "end")
    await produce(kafka_servers, "end", numbers(0, 5))
    async with reading("end", kafka_servers, staging, journal, start="end"):
        pass
    await produce(kafka_servers, "end", numbers(5, 8))
    async with reading("end", kafka_servers, staging, journal, start="end"):
        await until(lambda: len(journal.records) == 3)
    assert journal.values == numbers(5, 8)


async def test_a_start_that_does_not_exist_is_refused(kafka_servers: str, staging: Path) -> None:
    await make_topic(kafka_servers, "nowhere")
    for start in ({0: 5}, {3: 0}):
        sensor = kafka_sensor("nowhere", kafka_servers, staging, start=start)
        with anyio.fail_after(60), pytest.raises(SensorError, match="Expected offset"):
            await sensor.run(TopicJournal().emit)


async def test_a_truncated_log_is_a_gap_with_its_exact_range(
    kafka_servers: str, staging: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "truncated", 2)
    await produce(kafka_servers, "truncated", numbers(0, 20), partitions=2)
    async with reading("truncated", kafka_servers, staging, journal):
        await until(lambda: len(journal.records) == 20)
    await produce(kafka_servers, "truncated", numbers(20, 60), partitions=2)
    await truncate(kafka_servers, "truncated", {1: 25})
    async with reading("truncated", kafka_servers, staging, journal) as sensor:
        await until(lambda: len(journal.records) == 45)
        assert "lost offsets 10 to 24 (15)" in sensor.health.note
    ((position, detail),) = journal.gaps
    assert position == {"1": [10, 25]}
    assert "lost offsets 10 to 24 (15)" in detail
    assert sorted(journal.places) == [(0, o) for o in range(30)] + [
        (1, o) for o in (*range(10), *range(25, 30))
    ]
    assert [span for span in journal.covered()[1] if span[0] == 10] == [(10, 25)]


async def test_a_log_truncated_while_it_is_read_is_a_gap(kafka_servers: str, staging: Path) -> None:
    """The broker says that the offset is out of range, and aiokafka is told not to jump."""
    journal = TopicJournal()
    release = anyio.Event()
    await make_topic(kafka_servers, "under_way")
    await produce(kafka_servers, "under_way", [b"x" * 900 for _ in range(3000)])

    async def slow(batch: Batch) -> None:
        await journal.emit(batch)
        if len(journal.batches) == 2:
            await release.wait()

    sensor = kafka_sensor("under_way", kafka_servers, staging, batch_rows=50, batch_bytes=20_000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, slow)
        await until(lambda: len(journal.batches) == 2)
        await truncate(kafka_servers, "under_way", {0: 2990})
        release.set()
        await until(lambda: journal.places[-1:] == [(0, 2999)])
        tasks.cancel_scope.cancel()
    ((position, _),) = journal.gaps
    start, end = position["0"]
    assert end == 2990
    assert journal.places == [(0, o) for o in (*range(start), *range(2990, 3000))]


async def test_a_topic_made_anew_is_told_and_read_from_its_beginning(
    kafka_servers: str, staging: Path
) -> None:
    """Also where the new one is longer than the old one was: its id tells them apart."""
    for name, count in (("anew_short", 4), ("anew_long", 50)):
        journal = TopicJournal()
        await make_topic(kafka_servers, name, 1)
        await produce(kafka_servers, name, numbers(0, 10))
        async with reading(name, kafka_servers, staging, journal) as sensor:
            await until(lambda journal=journal: len(journal.records) == 10)
            await delete_topic(kafka_servers, name)
            await until(lambda sensor=sensor: sensor.health.state == "failed")
            assert "Expected a topic" in sensor.health.error
            await make_topic(kafka_servers, name, 2)
            await produce(kafka_servers, name, numbers(100, 100 + count), partitions=2)
            everything = 10 + count
            await until(lambda j=journal, n=everything: len(j.records) == n)
            assert sensor.health.state == "watching"
        assert sorted(journal.values[10:]) == sorted(numbers(100, 100 + count))
        (made_anew,), (new,) = journal.gaps, journal.news
        assert made_anew[0] == {"0": [10, 10]}
        assert "deleted and made anew" in made_anew[1]
        assert new[0] == {"1": [0, 0]}
        assert "partition 1" in new[1]


async def test_a_topic_made_anew_in_between_is_seen_after_a_restart(
    kafka_servers: str, staging: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "between")
    await produce(kafka_servers, "between", numbers(0, 5))
    async with reading("between", kafka_servers, staging, journal):
        await until(lambda: len(journal.records) == 5)
    await delete_topic(kafka_servers, "between")
    await make_topic(kafka_servers, "between")
    await produce(kafka_servers, "between", numbers(5, 20))
    async with reading("between", kafka_servers, staging, journal):
        await until(lambda: len(journal.records) == 20)
    assert journal.values == numbers(0, 20)
    assert [position for position, _ in journal.gaps] == [{"0": [5, 5]}]


async def test_what_was_seen_of_a_topic_that_is_made_anew_after_the_end_is_told_exactly(
    kafka_servers: str, staging: Path
) -> None:
    """A sensor that ends with records unread, whose topic is another one when it begins again."""
    journal = TopicJournal()
    await make_topic(kafka_servers, "unread", 2)
    await produce(kafka_servers, "unread", numbers(0, 60), partitions=2)
    sensor = kafka_sensor("unread", kafka_servers, staging, batch_rows=7)

    async def first(batch: Batch) -> None:
        if any(arrival.kind == "arrived" for arrival in journal.arrivals):
            await anyio.sleep_forever()
        await journal.emit(batch)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, first)
        await until(lambda: journal.records)
        tasks.cancel_scope.cancel()
    old = json.loads(journal.cursor)
    read = old["next"]
    assert sum(read.values()) == 7
    assert old["ends"] == {"0": 30, "1": 30}
    await delete_topic(kafka_servers, "unread")
    await make_topic(kafka_servers, "unread", 1)
    await produce(kafka_servers, "unread", numbers(60, 65))
    async with reading("unread", kafka_servers, staging, journal):
        await until(lambda: len(journal.records) == 12)
    assert [position for position, _ in journal.gaps] == [
        {"0": [read["0"], 30]},
        {"1": [read["1"], 30]},
    ]
    gone, no_more = (detail for _, detail in journal.gaps)
    assert old["topic"] in gone
    assert f"offsets {read['0']} to 29 ({30 - read['0']}) were not read" in gone
    assert "what the old one had from 30 on is unknown; it begins at 0" in gone
    assert "the new one has it no more" in no_more
    assert "ends" not in json.loads(journal.cursor)


async def test_looking_for_a_topic_does_not_make_it(kafka_servers: str, staging: Path) -> None:
    journal = TopicJournal()
    async with reading("absent", kafka_servers, staging, journal, well=False) as sensor:
        await until(lambda: sensor.health.state == "failed")
        await anyio.sleep(1)
        async with admin(kafka_servers) as client:
            assert "absent" not in await client.list_topics()
        assert not sensor.checked
        await make_topic(kafka_servers, "absent")
        await produce(kafka_servers, "absent", numbers(0, 3))
        await until(lambda: len(journal.records) == 3)


async def test_new_partitions_are_news_and_read_from_their_beginning(
    kafka_servers: str, staging: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "grows")
    await produce(kafka_servers, "grows", numbers(0, 4))
    async with reading("grows", kafka_servers, staging, journal, start="end"):
        await add_partitions(kafka_servers, "grows", 3)
        await produce(kafka_servers, "grows", numbers(4, 34), partitions=3)
        await until(lambda: len(journal.records) == 30)
    assert sorted(journal.places) == [(0, o) for o in range(4, 14)] + [
        (p, o) for p in (1, 2) for o in range(10)
    ]
    assert [position for position, _ in journal.news] == [{"1": [0, 0]}, {"2": [0, 0]}]
    assert "is new" in journal.news[0][1]
    assert journal.gaps == []


async def test_only_committed_records_are_read_and_marks_of_transactions_are_no_gaps(
    kafka_servers: str, staging: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "transactions")
    async with reading("transactions", kafka_servers, staging, journal, batch_rows=3) as sensor:
        async with producing(kafka_servers, transactional_id="t") as producer:
            for number in range(6):
                await producer.begin_transaction()
                await producer.send_and_wait("transactions", b"%d" % number, partition=0)
                if number % 2:
                    await producer.abort_transaction()
                else:
                    await producer.commit_transaction()
        await until(lambda: len(journal.records) == 3)
        await until(lambda: sensor.health.lag == 0)
        assert await sensor.scan() == 0
        await produce(kafka_servers, "transactions", [b"last"])
        await until(lambda: len(journal.records) == 4)
    assert journal.values == [b"0", b"2", b"4", b"last"]
    assert journal.gaps == []
    spans = journal.covered()[0]
    assert (spans[0][0], spans[-1][1]) == (0, 13)
    assert all(one[1] == next_one[0] for one, next_one in pairwise(spans))


async def test_keys_headers_and_times_are_kept_and_large_batches_are_staged(
    kafka_servers: str, staging: Path
) -> None:
    journal = TopicJournal()
    big = b"y" * (3 << 20)
    await make_topic(kafka_servers, "large", settings={"max.message.bytes": str(16 << 20)})
    async with reading("large", kafka_servers, staging, journal, batch_bytes=1 << 20):
        async with producing(kafka_servers, max_request_size=16 << 20) as producer:
            await producer.send_and_wait(
                "large",
                b"small",
                key=b"k",
                headers=[("trace", b"1"), ("trace", b"2")],
                timestamp_ms=1_700_000_000_123,
            )
            await producer.send_and_wait("large", big)
            await producer.send_and_wait("large", None, key=b"gone")
        await until(lambda: len(journal.records) == 3)
    small, large, tombstone = journal.records
    assert (small.value, small.key, small.timestamp_ms) == (b"small", b"k", 1_700_000_000_123)
    assert small.headers == (("trace", b"1"), ("trace", b"2"))
    assert large.value == big
    assert (tombstone.value, tombstone.key) == (None, b"gone")
    staged = [arrival for arrival in journal.arrivals if arrival.staged]
    assert all(not arrival.payload for arrival in staged)
    assert {Path(arrival.staged).parent for arrival in staged} == {staging}
    assert all(len(arrival.payload) <= INLINE_BYTES for arrival in journal.arrivals)
    assert sorted(path.name for path in staging.iterdir()) == sorted(
        Path(arrival.staged).name for arrival in staged
    )


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_messages_are_read(kafka_servers: str, staging: Path, codec: str) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, f"compressed_{codec}")
    await produce(kafka_servers, f"compressed_{codec}", numbers(0, 500), compression_type=codec)
    async with reading(f"compressed_{codec}", kafka_servers, staging, journal):
        await until(lambda: len(journal.records) == 500)
    assert journal.values == numbers(0, 500)


async def test_scan_returns_when_all_that_was_there_is_recorded(
    kafka_servers: str, staging: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "scanned")
    async with reading("scanned", kafka_servers, staging, journal) as sensor:
        await produce(kafka_servers, "scanned", numbers(0, 100))
        await sensor.scan()
        assert len(journal.records) == 100
        assert await sensor.scan() == 0
    with pytest.raises(SensorError, match="running"):
        await sensor.scan()


async def test_what_is_in_hand_is_not_quiet(kafka_servers: str, staging: Path) -> None:
    journal = TopicJournal()
    asked = anyio.Event()

    async def never(batch: Batch) -> None:
        if batch.arrivals:
            asked.set()
            await anyio.sleep_forever()
        await journal.emit(batch)

    await make_topic(kafka_servers, "in_hand")
    await produce(kafka_servers, "in_hand", numbers(0, 1))
    sensor = kafka_sensor("in_hand", kafka_servers, staging)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, never)
        with anyio.fail_after(60):
            await asked.wait()
        assert not sensor.is_quiet
        assert not sensor.checked
        tasks.cancel_scope.cancel()
    async with reading("in_hand", kafka_servers, staging, journal):
        await until(lambda: journal.records)
    assert journal.values == [b"0"]


async def test_records_that_come_one_by_one_do_not_wait_for_others(
    kafka_servers: str, staging: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "alone")
    async with (
        reading("alone", kafka_servers, staging, journal, batch_seconds=3600),
        producing(kafka_servers) as producer,
    ):
        await producer.send_and_wait("alone", b"first")
        await until(lambda: journal.values == [b"first"])
        await producer.send_and_wait("alone", b"second")
        await anyio.sleep(0.3)
        assert journal.values == [b"first"]
