"""Events sent to a topic of a real broker: which of them are taken."""

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from afresh.daemon.outgoing.load import build_target
from afresh.sensors.cloudevents import from_json, to_json
from support.topics import make_topic

pytestmark = [pytest.mark.integration, pytest.mark.service]

TOO_LARGE = 2 << 20


def event(number: int, size: int = 1) -> bytes:
    given = {"id": f"e{number}", "source": "/afresh/shop", "type": "t", "subject": "daily@1"}
    return to_json(given, {"n": "x" * size})


async def ids(servers: str, topic: str) -> list[str]:
    """Give the ids of all events that the topic has."""
    place = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest") as reader:
        reader.assign([place])
        end = (await reader.end_offsets([place]))[place]
        found: list[str] = []
        with anyio.fail_after(60):
            while await reader.position(place) < end:
                for records in (await reader.getmany(timeout_ms=200)).values():
                    found += [from_json(record.value).attributes["id"] for record in records]
        return found


async def test_what_is_before_an_event_that_is_refused_is_taken_once(kafka_servers: str) -> None:
    topic = "refused"
    await make_topic(kafka_servers, topic, 1)
    table = {"kind": "kafka", "servers": kafka_servers, "topic": topic}
    target = build_target(table, project="/", now=lambda: 1.0)
    events = [event(0), event(1), event(2, TOO_LARGE), event(3)]
    done = await target.deliver(events)
    assert (done.taken, bool(done.error)) == (2, True)
    for _ in range(3):
        assert (await target.deliver(events[2:])).taken == 0
    assert (await target.deliver(events[3:])).taken == 1
    await target.aclose()
    assert await ids(kafka_servers, topic) == ["e0", "e1", "e3"]
