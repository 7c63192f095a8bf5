"""The Kafka sensor on a real broker: nothing lost, nothing doubled, nothing silent."""

from pathlib import Path

import pytest

from support.topics import TopicJournal, make_topic, produce, reading
from support.watching import until

pytestmark = [pytest.mark.service]


async def test_records_come_in_the_order_of_their_partitions(
    kafka_servers: str, tmp_path: Path
) -> None:
    journal = TopicJournal()
    await make_topic(kafka_servers, "order", 3)
    async with reading("order", kafka_servers, tmp_path / "staging", journal) as sensor:
        values = [b"%d" % number for number in range(3000)]
        await produce(kafka_servers, "order", values, partitions=3)
        await until(lambda: len(journal.records) == 3000)
        assert sensor.is_quiet
    for partition in range(3):
        mine = [record for record in journal.records if record.channel == partition]
        assert [record.offset for record in mine] == list(range(1000))
        assert [record.value for record in mine] == values[partition::3]
    assert journal.gaps == []
