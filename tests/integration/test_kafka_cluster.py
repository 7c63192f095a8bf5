"""The Kafka sensor on a cluster of three: leaders change, and one that was behind is elected."""

from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread
import pytest
from aiokafka.admin import NewTopic

from services.kafka_cluster import Cluster, cluster_running
from support.topics import TopicJournal, admin, make_topic, produce, producing, reading
from support.watching import until

pytestmark = [pytest.mark.integration, pytest.mark.service]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_running() as cluster:
        yield cluster


async def test_other_leaders_are_followed_and_nothing_is_lost_or_doubled(
    cluster: Cluster, staging: Path
) -> None:
    topic, journal = "led", TopicJournal()
    await make_topic(cluster.servers, topic, 6, copies=3, settings={"min.insync.replicas": "2"})
    written = 0
    async with (
        producing(cluster.servers, enable_idempotence=True, linger_ms=5) as producer,
        reading(topic, cluster.servers, staging, journal, batch_rows=50) as sensor,
    ):
        for broker in cluster.brokers[:2]:
            waiting = []
            for number in range(300):
                if number == 100:
                    await anyio.to_thread.run_sync(broker.kill)
                value = b"%d" % (written + number)
                waiting.append(await producer.send(topic, value, partition=number % 6))
            with anyio.fail_after(60):
                for each in waiting:
                    await each
            written += 300
            # The others lead what it led: it is not needed.
            await until(lambda n=written: len(journal.records) == n, 60)
            await anyio.to_thread.run_sync(cluster.start)
        await until(lambda: sensor.health.state == "watching")
    assert sorted(journal.places) == [(p, offset) for p in range(6) for offset in range(100)]
    assert sorted(map(int, journal.values)) == list(range(600))
    assert journal.gaps == []


async def test_a_leader_that_was_behind_is_told_with_what_it_lost(
    cluster: Cluster, staging: Path
) -> None:
    """An unclean election: what was read and is lost to the broker is kept, and told exactly."""
    topic, journal = "unclean", TopicJournal()
    ahead, behind, other = cluster.brokers
    wanted = NewTopic(
        topic,
        -1,
        -1,
        replica_assignments={0: [1, 2]},
        topic_configs={"unclean.leader.election.enable": "true"},
    )
    async with admin(cluster.servers) as client:
        assert (await client.create_topics([wanted])).topic_errors[0][1] == 0
    await produce(cluster.servers, topic, [b"both %d" % n for n in range(20)], acks="all")
    servers = f"{other.servers},{ahead.servers},{behind.servers}"
    async with reading(topic, servers, staging, journal):
        await until(lambda: len(journal.records) == 20)
        await anyio.to_thread.run_sync(behind.kill)
        await produce(servers, topic, [b"one %d" % n for n in range(15)], acks="all")
        await until(lambda: len(journal.records) == 35)
        await anyio.to_thread.run_sync(ahead.kill)
        await anyio.to_thread.run_sync(behind.start)
        await produce(servers, topic, [b"new %d" % n for n in range(5)], acks="all")
        await until(lambda: len(journal.records) == 40, 60)
    ((position, detail),) = journal.gaps
    assert position == {"0": [20, 35]}
    assert "lost its end: offsets 20 to 34 (15) were read and are kept" in detail
    assert journal.values[20:] == [b"one %d" % n for n in range(15)] + [
        b"new %d" % n for n in range(5)
    ]
    assert journal.places[35:] == [(0, offset) for offset in range(20, 25)]
