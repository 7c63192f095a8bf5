"""Notifications of S3 through SQS, with moto's server: hints may be lost, doubled, shuffled."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from uuid import uuid4

import anyio
import boto3
import pytest

from afresh.assets.partition import Pattern
from afresh.sensors.buckets.sensor import BucketSensor
from afresh.sensors.buckets.sqs import SqsNotifications
from afresh.sensors.buckets.stores import open_store
from afresh.sensors.buckets.url import object_uri
from services.fault_proxy import FaultProxy
from services.stores import ObjectStore
from support.watching import Journal, until

pytestmark = pytest.mark.service


class Lake:
    """A bucket whose notifications go to a queue, as S3 itself sends them."""

    def __init__(self, store: ObjectStore, *, notify: bool = True) -> None:
        self.store = store
        self.bucket = store.new_bucket()
        self.s3 = boto3.client("s3", endpoint_url=store.endpoint)
        self.sqs = boto3.client("sqs", endpoint_url=store.endpoint)
        self.queue = f"queue-{uuid4().hex[:8]}"
        self.queue_url = self.sqs.create_queue(
            QueueName=self.queue, Attributes={"VisibilityTimeout": "2"}
        )["QueueUrl"]
        if notify:
            arn = self.sqs.get_queue_attributes(
                QueueUrl=self.queue_url, AttributeNames=["QueueArn"]
            )["Attributes"]["QueueArn"]
            events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
            self.s3.put_bucket_notification_configuration(
                Bucket=self.bucket,
                NotificationConfiguration={
                    "QueueConfigurations": [{"QueueArn": arn, "Events": events}]
                },
            )

    def put(self, key: str, text: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"days/{key}.csv", Body=text.encode())

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=f"days/{key}.csv")

    def tell(self, message: Any) -> None:
        body = message if isinstance(message, str) else json.dumps(message)
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def event(self, key: str) -> dict[str, Any]:
        what = {"bucket": {"name": self.bucket}, "object": {"key": f"days/{key}.csv"}}
        return {"Records": [{"eventSource": "aws:s3", "s3": what}]}

    def waiting(self) -> int:
        """Count the messages that are not deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)

    def sensor(
        self, queue: str = "", interval_seconds: float = 600.0, port: int = 0, **known: Any
    ) -> BucketSensor:
        pattern = Pattern.parse(f"{self.bucket}/days/{{day}}.csv")
        endpoint = f"http://127.0.0.1:{port}" if port else self.store.endpoint
        options = {"endpoint_url": endpoint}
        return BucketSensor(
            name="days",
            pattern=pattern,
            protocol="s3",
            store=open_store("s3", pattern, options),
            interval_seconds=interval_seconds,
            now=time.time,
            random=Random(1),
            notifications=SqsNotifications(queue or f"//{self.queue}", pattern, options),
            **known,
        )


@asynccontextmanager
async def running(sensor: BucketSensor, journal: Journal) -> AsyncIterator[BucketSensor]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, journal.emit)
        await until(lambda: sensor.checked)
        yield sensor
        tasks.cancel_scope.cancel()


@pytest.fixture
def lake(moto: ObjectStore) -> Iterator[Lake]:
    made = Lake(moto)
    yield made
    made.s3.close()
    made.sqs.close()


def keys(journal: Journal) -> list[tuple[str, str | None]]:
    return [(arrival.kind, arrival.partition) for arrival in journal.arrivals]


async def test_what_s3_tells_arrives_in_moments(lake: Lake) -> None:
    journal = Journal()
    for key in ("a", "b", "c"):
        lake.put(key, "1")
    async with running(lake.sensor(), journal):
        await until(lambda: len(journal.arrivals) == 3)
        started = time.monotonic()
        lake.put("d e+ü", "2")
        await until(lambda: ("arrived", "d e+ü") in keys(journal))
        lake.put("a", "22")
        lake.delete("b")
        await until(lambda: len(journal.arrivals) == 6)
        assert time.monotonic() - started < 15
        assert keys(journal)[3:] in (
            [("arrived", "d e+ü"), ("arrived", "a"), ("deleted", "b")],
            [("arrived", "d e+ü"), ("deleted", "b"), ("arrived", "a")],
        )
        # Messages are deleted when what they told of is recorded.
        await until(lambda: lake.waiting() == 0)


async def test_a_queue_is_found_by_its_url(lake: Lake) -> None:
    journal = Journal()
    async with running(lake.sensor(queue=lake.queue_url), journal):
        lake.put("a", "1")
        await until(lambda: keys(journal) == [("arrived", "a")])


async def test_each_form_of_a_message_is_a_hint(moto: ObjectStore) -> None:
    lake, journal = Lake(moto, notify=False), Journal()
    async with running(lake.sensor(), journal) as sensor:
        lake.put("a", "1")
        lake.put("b", "1")
        what = {"bucket": {"name": lake.bucket}, "object": {"key": "days/a.csv"}}
        lake.tell({"Service": "Amazon S3", "Event": "s3:TestEvent"})
        lake.tell("nothing that S3 says")
        lake.tell({"source": "aws.s3", "detail-type": "Object Created", "detail": what})
        lake.tell({"Type": "Notification", "Message": json.dumps(lake.event("b"))})
        await until(lambda: len(journal.arrivals) == 2)
        await until(lambda: lake.waiting() == 0)
        assert sensor.health.state == "watching"
    assert sorted(keys(journal)) == [("arrived", "a"), ("arrived", "b")]
    lake.s3.close()
    lake.sqs.close()


async def test_a_message_stays_until_its_arrival_is_recorded(lake: Lake) -> None:
    journal = Journal()
    asked = anyio.Event()

    async def never(_: object) -> None:
        asked.set()
        await anyio.sleep_forever()

    sensor = lake.sensor()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, never)
        await until(lambda: sensor.checked)
        lake.put("a", "1")
        with anyio.fail_after(60):
            await asked.wait()
        await anyio.sleep(0.5)
        assert lake.waiting() == 1
        tasks.cancel_scope.cancel()
    async with running(lake.sensor(), journal):
        await until(lambda: keys(journal) == [("arrived", "a")], seconds=60)
        # It comes again, and is no news; polls of the sensor before may still get it first.
        await until(lambda: lake.waiting() == 0, seconds=60)
    assert len(journal.arrivals) == 1


async def test_no_queue_is_said_and_the_listing_goes_on(lake: Lake) -> None:
    journal = Journal()
    lake.put("a", "1")
    async with running(lake.sensor(queue="//no-such-queue"), journal) as sensor:
        await until(lambda: "no notifications" in sensor.health.note)
        assert sensor.health.state == "watching"
        assert keys(journal) == [("arrived", "a")]
        assert "testing-secret" not in sensor.health.note


async def test_a_store_that_is_away_loses_nothing(lake: Lake) -> None:
    journal = Journal()
    with FaultProxy(("127.0.0.1", lake.store.port)) as proxy:
        sensor = lake.sensor(port=proxy.port)
        async with running(sensor, journal):
            lake.put("a", "1")
            await until(lambda: len(journal.arrivals) == 1)
            proxy.take_down()
            lake.put("b", "1")
            lake.put("a", "22")
            await anyio.sleep(1)
            assert len(journal.arrivals) == 1
            proxy.answer, proxy._down = 503, False
            await anyio.sleep(1)
            proxy.bring_up()
            await until(lambda: len(journal.arrivals) == 3, seconds=60)
            await until(lambda: lake.waiting() == 0, seconds=60)
    assert sorted(keys(journal)[1:]) == [("arrived", "a"), ("arrived", "b")]


async def test_lost_doubled_and_shuffled_messages_end_as_the_listing(moto: ObjectStore) -> None:
    """The measure of the benchmark, smaller: 30 % lost, 30 % doubled, shuffled."""
    lake, journal, random = Lake(moto, notify=False), Journal(), Random(7)
    names = [f"{number:03}" for number in range(150)]
    for name in names:
        lake.put(name, name)
    async with running(lake.sensor(interval_seconds=4), journal) as sensor:
        await until(lambda: len(journal.arrivals) == len(names), seconds=60)
        changed = random.sample(names, 30)
        deleted = random.sample([name for name in names if name not in changed], 8)
        new = [f"n{number:03}" for number in range(30)]
        told: list[str] = []
        for name in (*changed, *new):
            lake.put(name, f"{name} again")
            told += [name] * random.choice([0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
        for name in deleted:
            lake.delete(name)
            told += [name] * random.choice([0, 1, 1, 2])
        random.shuffle(told)
        for name in told:
            lake.tell(lake.event(name))
        count = len(names) + len(changed) + len(new) + len(deleted)
        await until(lambda: len(journal.arrivals) >= count, seconds=60)
        await sensor.scan()
        assert len(journal.arrivals) == count
        await until(lambda: lake.waiting() == 0)
    listed = {
        object_uri("s3", f"{lake.bucket}/{item['Key']}"): item["ETag"].strip('"')
        for item in lake.s3.list_objects_v2(Bucket=lake.bucket)["Contents"]
    }
    assert {uri: identity.etag for uri, identity in journal.known.items()} == listed
    lake.s3.close()
    lake.sqs.close()
