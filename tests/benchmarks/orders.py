"""Orders as messages: made, written to a topic, and read back as the topic has them."""

import asyncio
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

TOPIC = "orders"
_GIVEN_UP_SECONDS = 240.0
"""A client may wait for a broker for ever: what it was asked for comes much earlier."""


def message(number: int) -> bytes:
    """Give order `number`, in 200 bytes."""
    text = f'{{"id":{number},"item":"item {number % 1000}","price":{number % 977}.25,"note":"'
    return f'{text}{"x" * (198 - len(text))}"}}'.encode()


def poison(number: int, chance: random.Random) -> bytes:
    """Give something that is no order."""
    return chance.choice(
        [
            b"poison %d" % number,
            b'{"id": "poison %d"}' % number,
            message(number)[:-3],
            b"\xff\xfe" + message(number),
            b'{"id":%d}' % number,
        ]
    )


@dataclass
class Produced:
    """What a topic holds: of each place the order's number, None if it is poison."""

    orders: dict[tuple[int, int], int] = field(default_factory=dict)
    poison: set[tuple[int, int]] = field(default_factory=set)
    ends: dict[int, int] = field(default_factory=dict)


class Producer(threading.Thread):
    """Writes messages from a thread of its own, whatever happens to the broker meanwhile."""

    def __init__(
        self,
        servers: str,
        messages: Iterable[bytes],
        partitions: int,
        *,
        pause_each: int = 0,
        pause_seconds: float = 0.1,
    ) -> None:
        super().__init__(daemon=True)
        self._pause_each = pause_each
        self._pause_seconds = pause_seconds
        self._servers = servers
        self._messages = messages
        self._partitions = partitions
        self.error: BaseException | None = None

    def run(self) -> None:
        """Write all of them."""
        try:
            asyncio.run(self._produce())
        except BaseException as error:  # noqa: BLE001 - it is told to who waits
            self.error = error

    def finish(self) -> None:
        """Wait until all is written. Raises TimeoutError where that does not come about."""
        self.join(_GIVEN_UP_SECONDS)
        if self.is_alive():
            raise TimeoutError(f"not all was written within {_GIVEN_UP_SECONDS:g} s")
        if self.error is not None:
            raise self.error

    async def _produce(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            enable_idempotence=True,
            linger_ms=5,
            max_batch_size=1 << 17,
            request_timeout_ms=20_000,
        )
        await producer.start()
        try:
            waiting = []
            for number, value in enumerate(self._messages):
                waiting.append(
                    await producer.send(TOPIC, value, partition=number % self._partitions)
                )
                if self._pause_each and number % self._pause_each == self._pause_each - 1:
                    await asyncio.sleep(self._pause_seconds)
                if len(waiting) >= 20_000:
                    await asyncio.gather(*waiting)
                    waiting.clear()
            await asyncio.gather(*waiting)
        finally:
            await producer.stop()


def read_back(servers: str) -> Produced:
    """Read the whole topic with a bare consumer: what is in it is what was produced."""
    return asyncio.run(asyncio.wait_for(_read_back(servers), _GIVEN_UP_SECONDS))


async def _read_back(servers: str) -> Produced:
    produced = Produced()
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        await consumer.topics()
        places = [TopicPartition(TOPIC, p) for p in consumer.partitions_for_topic(TOPIC) or ()]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        produced.ends = {place.partition: end for place, end in ends.items()}
        await consumer.seek_to_beginning()
        while True:
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    number = number_of(record.value)
                    key = (place.partition, record.offset)
                    if number is None:
                        produced.poison.add(key)
                    else:
                        produced.orders[key] = number
            if all([await consumer.position(place) >= ends[place] for place in places]):
                return produced
    finally:
        await consumer.stop()


def number_of(value: bytes) -> int | None:
    """Give an order's number; None if it is poison. Not as the product does it."""
    head = value[: value.find(b",")]
    if not head.startswith(b'{"id":') or not value.endswith(b'"}'):
        return None
    digits = head[6:]
    return int(digits) if digits.isdigit() and len(value) == 200 else None
