"""A Kafka sensor at work on a topic of a real broker, and what it has recorded so far."""

import json
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete

from afresh.assets.manifest import Source
from afresh.sensors.base import Arrival, Batch, SensorContext
from afresh.sensors.kafka_topics.sensor import KafkaSensor
from afresh.sensors.kafka_topics.settings import Pace
from afresh.sensors.kafka_topics.spec import kafka
from afresh.sensors.records import Record, decode_records
from support.watching import Journal, until

FAST = Pace(look=0.3, stalled=3.0, first_pause=0.05, longest_pause=0.3, confirm=0.2)


def records_of(arrival: Arrival) -> list[Record]:
    data = Path(arrival.staged).read_bytes() if arrival.staged else arrival.payload
    return decode_records(data)


class TopicJournal(Journal):
    """What the ledger would keep of a topic: events and the cursor, in one step."""

    def __init__(self) -> None:
        super().__init__()
        self.cursor = ""
        self.records: list[Record] = []

    async def emit(self, batch: Batch) -> None:
        await super().emit(batch)
        if batch.cursor:
            self.cursor = batch.cursor
        for arrival in batch.arrivals:
            if arrival.kind == "arrived":
                self.records += records_of(arrival)

    @property
    def places(self) -> list[tuple[int, int]]:
        """(partition, offset) of each record, in the order in which it was recorded."""
        return [(record.channel, record.offset) for record in self.records]

    @property
    def values(self) -> list[bytes]:
        return [record.value or b"" for record in self.records]

    @property
    def gaps(self) -> list[tuple[dict[str, list[int]], str]]:
        return self._told("gap")

    @property
    def news(self) -> list[tuple[dict[str, list[int]], str]]:
        return self._told("news")

    def _told(self, kind: str) -> list[tuple[dict[str, list[int]], str]]:
        return [(json.loads(a.position), a.detail) for a in self.arrivals if a.kind == kind]

    def covered(self) -> dict[int, list[tuple[int, int]]]:
        """The ranges of all events by partition, in their order."""
        found: dict[int, list[tuple[int, int]]] = {}
        for arrival in self.arrivals:
            for partition, (start, end) in json.loads(arrival.position).items():
                found.setdefault(int(partition), []).append((start, end))
        return found


def kafka_source(topic: str, servers: str, **options: Any) -> Source:
    declared = kafka(topic, servers=servers, **options).declared()
    return Source(name="things", sensor=declared.sensor, format=declared.format, stream=True)


def kafka_sensor(
    topic: str,
    servers: str,
    staging: Path,
    cursor: str = "",
    *,
    pace: Pace = FAST,
    **options: Any,
) -> KafkaSensor:
    options.setdefault("batch_seconds", 0.02)
    context = SensorContext(
        source=kafka_source(topic, servers, **options),
        project=os.fspath(staging.parent),
        staging=os.fspath(staging),
        cursor=cursor,
        known={},
        now=time.time,
        random=Random(),
        tell=lambda: None,
    )
    return KafkaSensor(context, pace)


@asynccontextmanager
async def reading(
    topic: str,
    servers: str,
    staging: Path,
    journal: TopicJournal,
    *,
    well: bool = True,
    **options: Any,
) -> AsyncIterator[KafkaSensor]:
    """Run a sensor from the journal's cursor on; enters when it watches."""
    sensor = kafka_sensor(topic, servers, staging, journal.cursor, **options)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, journal.emit)
        if well:
            await until(lambda: sensor.health.state == "watching")
        yield sensor
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def admin(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def make_topic(
    servers: str,
    name: str,
    partitions: int = 1,
    copies: int = 1,
    *,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Make a topic; after a deletion, or when it stood still, the broker may need a moment."""
    wanted = NewTopic(name, partitions, copies, topic_configs=settings or {})
    async with admin(servers) as client:
        for _ in range(300):
            try:
                response: Any = await client.create_topics([wanted])
            except AttributeError as error:  # aiokafka's way to say that there is no controller
                response = error
            else:
                if response.topic_errors[0][1] == 0:
                    return
            await anyio.sleep(0.1)
        raise AssertionError(response)


async def delete_topic(servers: str, name: str) -> None:
    async with admin(servers) as client:
        await client.delete_topics([name])


async def add_partitions(servers: str, name: str, count: int) -> None:
    async with admin(servers) as client:
        await client.create_partitions({name: NewPartitions(count)})


async def truncate(servers: str, name: str, before: dict[int, int]) -> None:
    """Delete the records before some offsets, as retention does."""
    async with admin(servers) as client:
        await client.delete_records(
            {TopicPartition(name, p): RecordsToDelete(offset) for p, offset in before.items()}
        )


@asynccontextmanager
async def producing(servers: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=servers, **options)
    try:
        with anyio.fail_after(60):
            await producer.start()
        yield producer
    finally:
        # It waits for ever for an acknowledgement that does not come.
        with anyio.move_on_after(60, shield=True):
            await producer.stop()


async def produce(
    servers: str, topic: str, values: Iterable[bytes], *, partitions: int = 1, **options: Any
) -> None:
    """Write values to the partitions in turn, and wait until they are there."""
    async with producing(servers, linger_ms=5, **options) as producer:
        waiting = [
            await producer.send(topic, value, partition=number % partitions)
            for number, value in enumerate(values)
        ]
        with anyio.fail_after(60):
            for each in waiting:
                await each
