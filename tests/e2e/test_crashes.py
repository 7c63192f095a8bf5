"""A short campaign of kill -9, and the reference that judges it: it has to see planted damage."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.campaign import Campaign
from benchmarks.reference import artifacts, compare, named, path_of

pytestmark = pytest.mark.e2e


def test_nothing_is_lost_doubled_or_torn_by_kill_9(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path / "project", seed=1)
    outcome = campaign.run(5)
    assert outcome.findings.lost == []
    assert outcome.findings.doubled == []
    assert outcome.findings.torn == []
    assert outcome.outlived == 0
    assert outcome.verified
    _sees_planted_damage(campaign)


def _sees_planted_damage(campaign: Campaign) -> None:
    """A judge that never objects proves nothing."""
    project, delivered = campaign.project, campaign.delivered
    (uri,) = project.rows("select uri from version where asset = 'sums' limit 1")[0]
    path = path_of(project, uri)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert compare(project, delivered).torn != []
    path.write_bytes(content)

    stray = path.with_name("stray.parquet")
    stray.write_bytes(content)
    assert artifacts(project) - named(project) == {stray}
    assert compare(project, delivered).torn != []
    stray.unlink()

    day = next(iter(delivered.good))
    delivered.next_good(day, campaign.chance)
    assert compare(project, delivered).lost != []
    delivered.good[day].pop()

    ledger = project.state / "ledger.sqlite"
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.row_factory = sqlite3.Row
        last = connection.execute(
            "select * from version where asset = 'total' order by version desc limit 1"
        ).fetchone()
        again = {**dict(last), "version": last["version"] + 1}
        names, marks = ", ".join(again), ", ".join("?" * len(again))
        connection.execute(
            f"insert into version ({names}) values ({marks})",  # noqa: S608 - names of columns
            [*again.values()],
        )
    assert compare(project, delivered).doubled != []
