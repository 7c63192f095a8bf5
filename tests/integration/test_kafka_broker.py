"""The Kafka sensor while its broker is killed, hangs, comes back, and has lost the end of a log."""

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from afresh.sensors.kafka_topics import client
from afresh.sensors.kafka_topics.settings import Pace
from services.kafka import Kafka
from support.topics import (
    FAST,
    TopicJournal,
    make_topic,
    produce,
    producing,
    reading,
)
from support.watching import until

pytestmark = [pytest.mark.integration, pytest.mark.service]


async def apart(function: Callable[[], object]) -> None:
    """Do it in a thread: the sensor goes on meanwhile."""
    await anyio.to_thread.run_sync(function)


async def test_a_broker_that_is_killed_and_comes_back_costs_nothing(
    kafka: Kafka, staging: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka.servers, "killed", 3)
    async with reading("killed", kafka.servers, staging, journal) as sensor:
        written = 0
        for life in range(3):
            values = [b"%d" % number for number in range(written, written + 300)]
            await produce(kafka.servers, "killed", values, partitions=3, acks="all")
            written += 300
            if life == 1:  # while records are on their way
                await until(lambda: len(journal.records) > 310)
            await apart(kafka.kill)
            await until(lambda: sensor.health.state == "failed")
            assert kafka.servers in sensor.health.error
            assert sensor.is_quiet
            await apart(kafka.start)
            await until(lambda: sensor.health.state == "watching")
            assert sensor.health.error == ""
            await until(lambda n=written: len(journal.records) == n)
    assert sorted(journal.places) == sorted((p, o) for p in range(3) for o in range(300))
    assert journal.gaps == []


async def test_a_broker_that_is_not_there_yet_is_waited_for(kafka: Kafka, staging: Path) -> None:
    journal = TopicJournal()
    await make_topic(kafka.servers, "later")
    await produce(kafka.servers, "later", [b"1"])
    await apart(kafka.stop)
    async with reading("later", kafka.servers, staging, journal, well=False) as sensor:
        await until(lambda: sensor.health.state == "failed")
        assert "Connect call failed" in sensor.health.error
        await apart(kafka.start)
        await until(lambda: journal.values == [b"1"])


async def test_a_broker_that_hangs_is_noticed_and_nothing_is_lost(
    kafka: Kafka, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 1.0)
    journal = TopicJournal()
    await make_topic(kafka.servers, "hangs")
    async with reading("hangs", kafka.servers, staging, journal) as sensor:
        await produce(kafka.servers, "hangs", [b"before"])
        await until(lambda: journal.values == [b"before"])
        kafka.hang()
        try:
            await until(lambda: sensor.health.state == "failed")
        finally:
            kafka.go_on()
        await produce(kafka.servers, "hangs", [b"after"])
        await until(lambda: journal.values == [b"before", b"after"])
    assert journal.gaps == []


async def test_a_consumer_that_hangs_is_made_anew(kafka: Kafka, staging: Path) -> None:
    """What aiokafka may do after a restart of a broker: it answers, and brings nothing.

    Its own task that fetches is ended, so that it hangs for good and says nothing.
    """
    journal = TopicJournal()
    await make_topic(kafka.servers, "stuck")
    await produce(kafka.servers, "stuck", [b"1"])
    pace = Pace(look=0.2, stalled=1.0, first_pause=0.05)
    async with reading("stuck", kafka.servers, staging, journal, pace=pace) as sensor:
        await until(lambda: journal.values == [b"1"])
        following = sensor._following
        assert following is not None
        hung = following._client._consumer
        hung._fetcher._fetch_task.cancel()
        await until(lambda: all(task.done() for task in hung._fetcher._pending_tasks))
        written_at = time.monotonic()
        await produce(kafka.servers, "stuck", [b"2"])
        await until(lambda: sensor.health.state == "failed")
        assert "Expected records of 'stuck' that are there, found none for" in sensor.health.error
        assert time.monotonic() - written_at > 1.0
        await until(lambda: journal.values == [b"1", b"2"])
        assert sensor.health.error == ""
        following = sensor._following
        assert following is not None
        assert following._client._consumer is not hung
    assert journal.places == [(0, 0), (0, 1)]


@pytest.mark.parametrize("written", [5, 80])
async def test_a_log_that_lost_its_end_is_told_and_what_follows_is_read(
    kafka: Kafka, staging: Path, written: int
) -> None:
    """An election of a broker that is behind: offsets are given out a second time.

    With 80 records more the log is longer than it was: only its leader's epoch gives it away.
    """
    topic = f"lost_end_{written}"
    journal = TopicJournal()
    await make_topic(kafka.servers, topic)
    async with producing(kafka.servers) as producer:
        for number in range(40):  # a batch each, so that the log can be cut between them
            await producer.send_and_wait(topic, b"old %d" % number)
    async with reading(topic, kafka.servers, staging, journal):
        await until(lambda: len(journal.records) == 40)
    await apart(kafka.kill)
    log = kafka.logs / f"{topic}-0" / "00000000000000000000.log"
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size // 2 + 20)
    (kafka.logs / "recovery-point-offset-checkpoint").unlink(missing_ok=True)
    (kafka.logs / "replication-offset-checkpoint").unlink(missing_ok=True)
    await apart(kafka.start)
    await produce(kafka.servers, topic, [b"new %d" % number for number in range(written)])
    async with reading(topic, kafka.servers, staging, journal, pace=FAST):
        await until(lambda: len(journal.records) == 40 + written)
    assert journal.values[40:] == [b"new %d" % number for number in range(written)]
    ((position, detail),) = journal.gaps
    kept = journal.records[40].offset
    assert 10 < kept < 40
    assert position == {"0": [kept, 40]}
    assert "lost its end" in detail
