"""A short campaign of outages: what it is to find, it finds; the full one is `make campaign`."""

from pathlib import Path

import pytest

from benchmarks.outage_parties import Files
from benchmarks.outages import Outages, parties_of, rows_of
from services.stores import CREDENTIALS, Stores
from support.hooks import SECRET

pytestmark = [pytest.mark.e2e, pytest.mark.service]


def test_what_fails_for_a_while_loses_nothing(
    tmp_path: Path, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (*CREDENTIALS.items(), ("ORDERS_SECRET", SECRET)):
        monkeypatch.setenv(name, value)
    campaign = Outages(tmp_path / "project", parties_of(stores))
    outcome = campaign.run(2.0, calm=4.0, only=["store", "callers"], faults=["down", "cut"])
    assert outcome.wrong == []
    assert outcome.sent > 50
    failed = [window for window in outcome.windows if window.party]
    assert [(window.what, window.fault) for window in failed] == [
        ("store", "down"),
        ("store", "cut"),
        ("callers", "down"),
        ("callers", "cut"),
    ]
    assert all(window.refused for window in failed)
    assert len(rows_of(outcome)) == 5


def test_what_was_never_sent_is_told(tmp_path: Path) -> None:
    files = Files()
    campaign = Outages(tmp_path / "project", [files])
    sent, unsent = files.sent, "landing/k000001.csv"

    def told() -> dict[str, list[tuple[int, float]]]:
        return {uri: wrote for uri, wrote in sent().items() if uri != unsent}

    files.sent = told  # type: ignore[method-assign]
    outcome = campaign.run(0.1, calm=2.0)
    assert f"never sent: {unsent}" in outcome.wrong
