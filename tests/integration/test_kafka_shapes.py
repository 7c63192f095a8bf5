"""The Kafka sensor on all shapes of topics: compacted, of a thousand partitions, large messages."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from afresh.sensors.base import Batch
from services.kafka import kafka_running
from support.topics import TopicJournal, kafka_sensor, make_topic, produce, producing, reading
from support.watching import until

pytestmark = [pytest.mark.integration, pytest.mark.service]


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    """A broker of its own: a thousand partitions take its time, for which it is not given up."""
    patient = {"broker.session.timeout.ms": "60000"}
    for broker in kafka_running(patient):
        yield broker.servers


async def left(servers: str, topic: str) -> list[int]:
    """Give the offsets that the broker still has."""
    place = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest") as reader:
        reader.assign([place])
        end = (await reader.end_offsets([place]))[place]
        offsets: list[int] = []
        while await reader.position(place) < end:
            for records in (await reader.getmany(timeout_ms=200)).values():
                offsets += [record.offset for record in records]
        return offsets


async def write_keys(servers: str, topic: str, start: int, end: int, keys: int) -> None:
    async with producing(servers) as producer:
        for number in range(start, end):
            key = b"k%d" % (number % keys)
            await producer.send_and_wait(topic, b"%d" % number, key=key, partition=0)


async def test_what_compaction_took_out_is_no_gap(servers: str, staging: Path) -> None:
    """Also where a sensor goes on in the middle of what is not there any more."""
    topic, journal = "compacted", TopicJournal()
    settings = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.001",
        "delete.retention.ms": "100",
    }
    await make_topic(servers, topic, settings=settings)
    await write_keys(servers, topic, 0, 40, keys=3)
    async with reading(topic, servers, staging, journal, batch_rows=17):
        await until(lambda: journal.places[-1:] == [(0, 39)])
    first = len(journal.records)
    for number in range(40, 60, 10):
        await write_keys(servers, topic, number, number + 10, keys=3)
        await anyio.sleep(0.2)  # or a segment is not closed
    await write_keys(servers, topic, 60, 61, keys=3)
    offsets = list(range(61))
    with anyio.fail_after(60):
        while offsets[0] < 57:  # all that compaction may leave of three keys, and the newest
            offsets = await left(servers, topic)
    async with reading(topic, servers, staging, journal) as sensor:
        await until(lambda: journal.places[-1] == (0, 60))
        await until(lambda: sensor.checked and sensor.health.lag == 0)
    assert [offset for _, offset in journal.places[first:]] == offsets
    assert journal.gaps == []
    spans = journal.covered()[0]
    assert (spans[0][0], spans[-1][1]) == (0, 61)
    assert all(one[1] == next_one[0] for one, next_one in pairwise(spans))


async def test_a_thousand_partitions_are_read_and_bounded_while_nobody_takes(
    servers: str, staging: Path
) -> None:
    """What is fetched ahead of a ledger that does not answer stays below a few batches."""
    topic, journal, partitions = "thousand", TopicJournal(), 1000
    await make_topic(servers, topic, partitions)
    value = b"x" * 20_000
    await produce(servers, topic, [value] * partitions, partitions=partitions)
    taken = anyio.Event()

    async def held(batch: Batch) -> None:
        if batch.arrivals:
            await taken.wait()
        await journal.emit(batch)

    sensor = kafka_sensor(topic, servers, staging, batch_bytes=1 << 20)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, held)
        await until(lambda: not sensor.is_quiet)
        await anyio.sleep(3)
        following = sensor._following
        assert following is not None
        ahead = len(following._client._consumer._fetcher._records)
        taken.set()
        assert ahead * len(value) <= 3 << 20
        await until(lambda: len(journal.records) == partitions, 30)
        tasks.cancel_scope.cancel()
    assert sorted(journal.places) == [(partition, 0) for partition in range(partitions)]
    assert journal.gaps == []


async def test_large_messages_come_in_batches_of_a_bounded_size(
    servers: str, staging: Path
) -> None:
    """Also those that are small on the way: a fetch holds hundreds of them."""
    topic, journal = "bulky", TopicJournal()
    await make_topic(servers, topic, settings={"max.message.bytes": str(16 << 20)})
    big = b"y" * (1 << 20)
    async with producing(servers, max_request_size=32 << 20, compression_type="gzip") as producer:
        for _ in range(60):
            await producer.send_and_wait(topic, big)
    async with producing(servers, max_request_size=32 << 20) as producer:
        for _ in range(3):
            await producer.send_and_wait(topic, big * 10)
    async with reading(topic, servers, staging, journal, batch_bytes=4 << 20):
        await until(lambda: len(journal.records) == 63, 30)
    assert journal.places == [(0, offset) for offset in range(63)]
    assert {len(record.value or b"") for record in journal.records[60:]} == {10 << 20}
    sizes = [Path(arrival.staged).stat().st_size for arrival in journal.arrivals]
    assert max(sizes) < 15 << 20
