"""A topic in the campaign of outages: written past the proxy, read by the daemon through it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer
from anyio.from_thread import start_blocking_portal

from services.fault_proxy import FaultProxy
from services.kafka import Kafka, kafka_running
from support.topics import make_topic

PARTITIONS = 3
TOPIC = "numbers"
_RANGE = re.compile(r"(\d+):(\d+)-(\d+)")


class Broker:
    """One broker that sends those who come through the proxy back to it."""

    name = "topic"
    settings = ""

    def __init__(self, broker: Kafka, proxy: FaultProxy) -> None:
        self.proxies = {"broker": proxy}
        self.declaration = f"""
topic = source("topic", kafka("{TOPIC}", servers="{proxy.address}"), schema=Number)


@asset(new="topic")
def topic_made(topic: DataFrame[Number]) -> DataFrame[Number]:
    return topic.assign(n=topic["n"] * 2)
"""
        self._servers = broker.servers
        self._written: list[tuple[str, int, float]] = []
        self._loop = start_blocking_portal()
        self._portal = self._loop.__enter__()
        self._producer = self._portal.call(self._begin)

    async def _begin(self) -> AIOKafkaProducer:
        await make_topic(self._servers, TOPIC, PARTITIONS)
        producer = AIOKafkaProducer(bootstrap_servers=self._servers)
        await producer.start()
        return producer

    def begin(self, folder: Path) -> None:
        """Do nothing: the topic is there."""

    def send(self, number: int) -> None:
        """Write one message."""
        at = time.time()
        value, partition = b'{"n": %d}' % number, number % PARTITIONS
        written = self._portal.call(
            lambda: self._producer.send_and_wait(TOPIC, value, partition=partition)
        )
        self._written.append((f"{partition}:{written.offset}", number, at))

    def sent(self) -> dict[str, list[tuple[int, float]]]:
        """Tell what was written, each message by its place."""
        return {place: [(number, at)] for place, number, at in list(self._written)}

    def places(self, uri: str) -> Iterator[str]:
        """Give the places of a batch's messages."""
        for partition, first, last in _RANGE.findall(uri.rpartition("/")[2]):
            yield from (f"{partition}:{offset}" for offset in range(int(first), int(last) + 1))

    def held(self) -> list[int]:
        """Give every number."""
        return sorted(number for _, number, _ in self._written)

    def close(self) -> None:
        """End."""
        self._portal.call(self._producer.stop)
        self._loop.__exit__(None, None, None)
        self.proxies["broker"].close()


@contextmanager
def running_broker() -> Iterator[Broker]:
    """Run a broker behind a proxy, whose address it advertises to those who come through it."""
    proxies: list[FaultProxy] = []

    def prepare(broker: Kafka) -> None:
        port = broker.add_listener("PROXIED", "PLAINTEXT")
        proxies.append(FaultProxy(("127.0.0.1", port)))
        broker.advertise("PROXIED", proxies[0].address)

    for broker in kafka_running(prepare=prepare):
        yield Broker(broker, proxies[0])
