from typing import Any

import pytest

from afresh.assets.errors import UsageError
from afresh.daemon.api.event_filter import EventFilter, event_filter, event_range
from afresh.daemon.api.names import NEWEST

DAY = 86400.0
EVENT = {
    "seq": 7,
    "source": "orders",
    "sensor": "orders",
    "kind": "arrived",
    "state": "pending",
    "partition": "",
    "observed_at": 100.0,
}


@pytest.mark.parametrize(
    ("given", "matches"),
    [
        ({}, True),
        ({"sources": ["orders", "x"]}, True),
        ({"sources": ["x"]}, False),
        ({"sensors": ["x"]}, False),
        ({"kinds": ["arrived", "gap"]}, True),
        ({"kinds": ["gap"]}, False),
        ({"states": ["pending"]}, True),
        ({"unmatched": True}, False),
        ({"partition": ""}, True),
        ({"partition": "eu"}, False),
        ({"since": "7", "until": "7"}, True),
        ({"since": "8"}, False),
        ({"until": "6"}, False),
        ({"since": "1970-01-01T00:01:40"}, True),
        ({"since": "1970-01-01T00:01:41Z"}, False),
        ({"until": "1970-01-01"}, True),
        ({"until": "1970-01-01T02:01:39+02:00"}, False),
        ({"since": "10s"}, True),
        ({"since": "9s"}, False),
    ],
)
def test_what_is_asked_for(given: dict[str, Any], matches: bool) -> None:
    assert event_filter(given, now=110.0).matches(EVENT) is matches


def test_a_day_is_all_of_it() -> None:
    assert event_filter({"until": "1970-01-02"}, 0.0).until == 2 * DAY - 1e-6
    assert event_filter({"since": "1970-01-02"}, 0.0).since == DAY
    assert event_filter({}, 0.0) == EventFilter()


@pytest.mark.parametrize(
    "given", [{"kinds": ["x"]}, {"states": ["x"]}, {"since": "soon"}, {"until": "-1"}]
)
def test_unknown_words_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="found"):
        event_filter(given, 0.0)


def test_ranges() -> None:
    assert event_range("3..9") == (3, 9)
    assert event_range("3..") == (3, None)
    assert event_range("3") == (3, 3)
    assert event_range(f"03..{'9' * 5000}") == (3, NEWEST)
    for text in ("", "..", "..3", "9..3", "a..b", "1...2", "-1"):
        with pytest.raises(UsageError, match="Expected seqs"):
            event_range(text)
