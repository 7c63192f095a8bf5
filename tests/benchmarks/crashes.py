"""The kill campaign, as a row of the table."""

from pathlib import Path

from benchmarks.campaign import Campaign
from benchmarks.report import Row, judged

KILLS, SEED = 50, 2013


def measure(folder: Path) -> list[Row]:
    """Give the row."""
    outcome = Campaign(folder / "project", SEED).run(KILLS)
    found = outcome.findings
    return [
        Row(
            f"{outcome.kills} kill -9 ({outcome.between} between publish and commit)",
            f"{len(found.lost)} lost, {len(found.doubled)} doubled, {len(found.torn)} torn",
            f"{outcome.deliveries} deliveries",
            "0, 0, 0",
            judged(outcome.clean),
        )
    ]
