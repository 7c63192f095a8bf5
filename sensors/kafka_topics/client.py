"""One connection to a cluster for one topic: what the broker says of it, and its records.

aiokafka's consumer without a group: partitions are assigned here, offsets are sought here. After
any error it is thrown away: its positions then may be ahead of what it handed out.
"""

import asyncio  # noqa: TID251 - aiokafka's tasks and futures are asyncio's
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from contextvars import ContextVar
from types import MethodType
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from afresh.assets.errors import SensorError
from afresh.sensors.kafka_topics.offsets import Cursor, Log, Topic
from afresh.sensors.kafka_topics.protocol import EpochRequest, TopicRequest, topic_id_text

__all__ = ["Client", "ConsumerRecord", "NoTopic", "OffsetOutOfRangeError", "Trouble", "connected"]

REQUEST_SECONDS = 10.0
FETCH_TIMES = 3
"""Records may take so many times longer: on a slow network there are megabytes of them."""
_PARTITION_BYTES = 4 << 20
_AHEAD = 4
"""So many times the bytes of a fetch may lie here, fetched and not taken."""
_NEVER_SECONDS = 3600.0
_UNKNOWN_TOPIC = 3
_NOT_AUTHORIZED = 29
_NOT_ALLOWED = "let the user of security= describe and read the topic"

_NAMED: Mapping[type, str] = {TimeoutError: "no answer in time"}

_said: ContextVar[deque[str] | None] = ContextVar("said", default=None)


class Trouble(SensorError):
    """The cluster does not answer as it should: it is tried again."""


class NoTopic(Trouble):
    """The topic is not there."""


class _Ear(logging.Handler):
    """Hears why a connection failed: aiokafka says it to its log alone."""

    def emit(self, record: logging.LogRecord) -> None:
        said = _said.get()
        if said is not None and record.levelno >= logging.WARNING:
            said.append(record.getMessage())


def _listen() -> None:
    """Keep aiokafka's log to ourselves: it repeats itself ten times a second."""
    log = logging.getLogger("aiokafka")
    if not any(isinstance(handler, _Ear) for handler in log.handlers):
        log.addHandler(_Ear())
        log.propagate = False


class Client:
    """What is asked of a cluster for one topic. Raises Trouble where an answer does not come."""

    def __init__(self, consumer: Any, topic: str, fetch_bytes: int) -> None:
        self._consumer = consumer
        self._topic = topic
        self._fetch_bytes = fetch_bytes
        self._logs: list[int] = []

    async def identify(self) -> tuple[str, dict[int, int]]:
        """Give the topic's id and its leaders' epochs. Raises NoTopic."""
        response = await self._ask(TopicRequest(self._topic))
        (topic,) = response.topics
        code, _, raw_id, _, partitions, *_ = topic
        if code == _UNKNOWN_TOPIC:
            raise NoTopic(
                f"Expected a topic {self._topic!r}, found none",
                hint="make it, or mend its name; nothing is read until it is there",
            )
        if code:
            raise Trouble(
                f"Expected what the topic {self._topic!r} is, found {for_code(code)()}",
                hint=_NOT_ALLOWED if code == _NOT_AUTHORIZED else "it is tried again",
            )
        return topic_id_text(raw_id), {partition[1]: partition[3] for partition in partitions}

    async def look(self, cursor: Cursor | None) -> Topic:
        """Give what the broker says of the topic and its logs, in view of where we are in them."""
        topic_id, epochs = await self.identify()
        places = [TopicPartition(self._topic, partition) for partition in epochs]
        with self._deadline():
            self._consumer._client.set_topics([self._topic])  # noqa: SLF001 - else all are asked for
            starts = await self._consumer.beginning_offsets(places)
            ends = await self._consumer.end_offsets(places)
        agreed: Mapping[int, int] = {}
        if cursor is not None and cursor.topic_id == topic_id:
            older = {p: e for p, e in cursor.epochs.items() if e < epochs.get(p, -1)}
            agreed = await self._agreed(older) if older else {}
        return Topic(
            topic_id,
            {
                place.partition: Log(
                    starts[place],
                    ends[place],
                    epochs[place.partition],
                    agreed.get(place.partition),
                )
                for place in places
            },
        )

    async def ends(self) -> dict[int, int]:
        """Give the ends of the logs that are assigned, up to where transactions are over."""
        with self._deadline():
            ends = await self._consumer.end_offsets(self._places())
        return {place.partition: end for place, end in ends.items()}

    def seen_ends(self) -> dict[int, int]:
        """Give the ends as they came with the last records, where any came."""
        found = {
            place.partition: self._consumer.last_stable_offset(place) for place in self._places()
        }
        return {partition: end for partition, end in found.items() if end is not None}

    async def _agreed(self, epochs: Mapping[int, int]) -> dict[int, int]:
        """Up to which offset the logs hold what was written in these epochs and before."""
        cluster = self._consumer._client.cluster  # noqa: SLF001 - it knows the leaders
        by_leader: dict[int, dict[int, int]] = {}
        for partition, epoch in epochs.items():
            leader = cluster.leader_for_partition(TopicPartition(self._topic, partition))
            if leader is None or leader < 0:
                raise Trouble(f"Expected a leader of partition {partition}, found none")
            by_leader.setdefault(leader, {})[partition] = epoch
        agreed: dict[int, int] = {}
        for leader, asked in by_leader.items():
            response = await self._ask(EpochRequest(self._topic, asked), leader)
            for code, partition, _, end in response.topics[0][1]:
                if code:
                    raise Trouble(f"Expected where an epoch ends, found {for_code(code)()}")
                if end >= 0:
                    agreed[partition] = end
        return agreed

    async def _ask(self, request: Any, node: int | None = None) -> Any:
        client = self._consumer._client  # noqa: SLF001 - its consumer has no way for other requests
        with self._deadline():
            chosen = client.get_random_node() if node is None else node
            return await client.send(chosen, request)

    def _deadline(self) -> AbstractContextManager[anyio.CancelScope]:
        """Let nothing wait for ever: aiokafka does where a partition has no leader."""
        return anyio.fail_after(REQUEST_SECONDS)

    async def offsets_at(self, milliseconds: int, topic: Topic) -> dict[int, int]:
        """Give the first offsets of a time or later; the end where there is none."""
        places = [TopicPartition(self._topic, partition) for partition in topic.logs]
        with self._deadline():
            found = await self._consumer.offsets_for_times(dict.fromkeys(places, milliseconds))
        return {
            place.partition: at.offset if at is not None else topic.logs[place.partition].end
            for place, at in found.items()
        }

    def assign(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions from these offsets on; what was fetched before is dropped."""
        self._logs = list(offsets)
        if len(offsets) * _partition_bytes(self._fetch_bytes) > _AHEAD * self._fetch_bytes:
            # aiokafka asks each tenth of a second for partitions that it holds nothing of: of a
            # thousand, while the ledger is busy, for GB. So it waits until all is taken.
            self._consumer._fetcher._prefetch_backoff = _NEVER_SECONDS  # noqa: SLF001
        self._consumer.assign(self._places())
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self._topic, partition), offset)

    async def take(self, most: int, seconds: float) -> dict[int, Sequence[ConsumerRecord]]:
        """Give what there is, or comes within some seconds, by partition.

        Raises OffsetOutOfRangeError where a log has not what is wanted of it.
        """
        found = await self._consumer.getmany(timeout_ms=int(seconds * 1000), max_records=most)
        return {place.partition: records for place, records in found.items()}

    async def positions(self) -> dict[int, int]:
        """Give the next offsets: they pass over what is no record, such as transactions' ends."""
        return {place.partition: await self._consumer.position(place) for place in self._places()}

    def _places(self) -> list[Any]:
        return [TopicPartition(self._topic, partition) for partition in self._logs]


def _partition_bytes(fetch_bytes: int) -> int:
    return min(_PARTITION_BYTES, fetch_bytes)


@asynccontextmanager
async def connected(
    topic: str,
    servers: Sequence[str],
    *,
    fetch_bytes: int,
    security: Mapping[str, Any],
    advise: Callable[[str], str] = lambda _why: "",
) -> AsyncIterator[Client]:
    """Connect. Raises Trouble with what is known of the reason, here and for all KafkaErrors.

    `advise` gives the hint for a reason.
    """
    _listen()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(servers),
        client_id="afresh",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_bytes=fetch_bytes,
        max_partition_fetch_bytes=_partition_bytes(fetch_bytes),
        request_timeout_ms=int(REQUEST_SECONDS * FETCH_TIMES * 1000),
        **security,
    )
    client = consumer._client  # noqa: SLF001 - see below
    client._metadata_update = MethodType(_update_metadata, client)  # noqa: SLF001
    # Its tasks go on speaking to it.
    said: deque[str] = deque(maxlen=1)
    token = _said.set(said)
    try:
        try:
            with anyio.fail_after(REQUEST_SECONDS * len(servers)):
                await consumer.start()
            said.clear()  # what one server of several said: it is no reason of what fails later
        finally:
            _said.reset(token)
        yield Client(consumer, topic, fetch_bytes)
    except OffsetOutOfRangeError:
        raise
    except (KafkaError, OSError, TimeoutError) as error:
        why = said[-1] if said else str(error) or _NAMED.get(type(error), type(error).__name__)
        raise Trouble(
            f"Expected Kafka at {', '.join(servers)}, found: {why}",
            hint=advise(why),
        ) from error
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(consumer)


async def _stop(consumer: Any) -> None:
    """Stop a consumer in a task of its own.

    Where a fetch just failed, aiokafka lets the cancellation of its own task out to its caller, and
    leaves its connections open.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping}, timeout=REQUEST_SECONDS)
    if stopping.cancelled() or not stopping.done() or stopping.exception() is not None:
        fetcher = consumer._fetcher  # noqa: SLF001 - what it left behind
        for task in fetcher._pending_tasks if fetcher is not None else ():  # noqa: SLF001
            task.cancel()
        closing = asyncio.ensure_future(consumer._client.close())  # noqa: SLF001
        await asyncio.wait({closing}, timeout=REQUEST_SECONDS)


async def _update_metadata(self: Any, cluster: Any, topics: Any) -> bool:
    """Ask for metadata as aiokafka's client does, but make no topic by asking for it.

    A topic that was deleted would come back at once, empty, on a broker as it is delivered.
    """
    request = MetadataRequest(list(topics) if topics else None, allow_auto_topic_creation=False)
    for broker in cluster.brokers():
        connection = await self._get_conn(broker.nodeId)
        if connection is None:
            continue
        try:
            metadata = await connection.send(request)
        except (KafkaError, TimeoutError):
            continue
        if not metadata.brokers:
            return False
        cluster.update_metadata(metadata)
        return True
    cluster.failed_update(None)
    return False
