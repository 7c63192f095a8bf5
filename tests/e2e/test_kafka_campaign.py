"""A short campaign against Kafka, and that its judge sees planted damage."""

from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from benchmarks.kafka_campaign import KafkaCampaign, Outcome
from benchmarks.orders import read_back
from services.kafka import Kafka

pytestmark = [pytest.mark.e2e, pytest.mark.service]


def test_what_is_published_is_what_was_produced_without_the_poison(
    kafka: Kafka, tmp_path: Path
) -> None:
    """50,000 records, 12 partitions, 100 poison, kill -9 of the daemon and of the broker."""
    campaign = KafkaCampaign(tmp_path / "project", kafka, seed=3)
    outcome = campaign.run(50_000, bad=100, kills=5, restarts=2)
    assert outcome.wrong == {}
    assert outcome.outlived == 0
    assert outcome.verified
    assert outcome.poison == 100
    assert outcome.published == outcome.records - 100
    assert outcome.records == 50_000
    assert (outcome.kills, outcome.restarts) == (5, 2)
    _sees_planted_damage(campaign, kafka)


def _sees_planted_damage(campaign: KafkaCampaign, kafka: Kafka) -> None:
    """A judge that never objects proves nothing."""
    produced = read_back(kafka.servers)

    def judged(sql: str, *parameters: object) -> Outcome:
        with closing(connect(campaign.project.state / "ledger.sqlite")) as ledger:
            ledger.execute("begin")
            ledger.execute(sql, parameters)
            ledger.commit()
        campaign.outcome = Outcome()
        campaign.judge(produced)
        return campaign.outcome

    assert judged("update event set position = '{}' where seq = 2").ranges != []
    assert (
        judged(
            "delete from dead_letter where number = (select max(number) from dead_letter)"
        ).letters
        != []
    )
    doubled = judged(
        "insert into segment select asset, partition, first_row + 1000000, end_row + 1000000, uri,"
        " bytes, hash, fingerprint, columns, schema_version, position, run, created_at"
        " from segment where asset = 'orders' and first_row = 0"
    )
    assert doubled.doubled != []
    lost = judged("delete from segment where asset = 'orders' and first_row in (0, 1000000)")
    assert lost.lost != []
    assert judged("delete from segment where asset = 'priced' and first_row = 0").downstream != []
