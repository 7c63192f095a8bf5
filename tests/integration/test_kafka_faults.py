"""The Kafka sensor on a network that is slow, cut, stalled or gone."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec
import pytest

from afresh.sensors.kafka_topics import client
from services.fault_proxy import FaultProxy
from services.kafka import Kafka, kafka_running
from support.topics import FAST, TopicJournal, make_topic, produce, reading
from support.watching import until

pytestmark = [pytest.mark.integration, pytest.mark.service]


@pytest.fixture(scope="module")
def proxied() -> Iterator[tuple[Kafka, FaultProxy]]:
    """A broker that sends those who come through the proxy back to it; tests write past it."""
    proxies: list[FaultProxy] = []

    def prepare(broker: Kafka) -> None:
        port = broker.add_listener("PROXIED", "PLAINTEXT")
        proxies.append(FaultProxy(("127.0.0.1", port)))
        broker.advertise("PROXIED", proxies[0].address)

    for broker in kafka_running(prepare=prepare):
        with proxies[0]:
            yield broker, proxies[0]


@pytest.mark.parametrize("fault", ["down", "stalled", "cut", "slow"])
async def test_a_network_that_fails_costs_nothing(
    proxied: tuple[Kafka, FaultProxy],
    staging: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 1.0)
    broker, proxy = proxied
    topic = f"network_{fault}"
    journal = TopicJournal()
    await make_topic(broker.servers, topic, 3)
    async with reading(topic, proxy.address, staging, journal, batch_rows=500) as sensor:
        values = [b"%d " % number + b"x" * 500 for number in range(6000)]
        await produce(broker.servers, topic, values[:300], partitions=3)
        await until(lambda: len(journal.records) == 300)
        match fault:
            case "down":
                proxy.take_down()
            case "stalled":
                proxy.stalled = True
            case "cut":
                proxy.cut_after = 400_000
            case "slow":
                proxy.latency_seconds = 0.1
        await produce(broker.servers, topic, values[300:], partitions=3)
        if fault in ("down", "stalled"):
            await until(lambda: sensor.health.state == "failed")
            await anyio.sleep(1)
            assert len(journal.records) < 6000
            proxy.bring_up()
        await until(lambda: len(journal.records) == 6000, 60)
        proxy.bring_up()
        await until(lambda: sensor.health.state == "watching")
    assert sorted(journal.places) == sorted((p, o) for p in range(3) for o in range(2000))
    assert journal.gaps == []


async def test_connections_that_go_silent_for_good_are_made_anew(
    proxied: tuple[Kafka, FaultProxy], staging: Path
) -> None:
    """A router forgets them: no reset, no answer, and the client would wait for ever."""
    broker, proxy = proxied
    topic = "network_forgotten"
    journal = TopicJournal()
    await make_topic(broker.servers, topic)
    pace = msgspec.structs.replace(FAST, look=0.2)
    async with reading(topic, proxy.address, staging, journal, pace=pace) as sensor:
        await produce(broker.servers, topic, [b"before"])
        await until(lambda: journal.values == [b"before"])
        proxy.lose_open()
        await produce(broker.servers, topic, [b"meanwhile"])
        await until(lambda: sensor.health.state == "failed", 2 * client.REQUEST_SECONDS)
        assert len(journal.records) == 1
        await until(lambda: journal.values == [b"before", b"meanwhile"])
        assert sensor.health.error == ""
    assert journal.gaps == []
