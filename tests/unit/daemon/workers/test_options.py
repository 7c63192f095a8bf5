"""Options of declarations: what each takes, and what is said of anything else."""

from typing import TYPE_CHECKING, Any

import pytest

from afresh.assets.manifest import Retry
from afresh.assets.policy import Budget
from afresh.daemon.workers import options

if TYPE_CHECKING:
    from afresh.daemon.workers.signature import Problems


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0, Retry(attempts=1)),
        (3, Retry(attempts=4)),
        (Retry(attempts=2, delay_seconds=1), Retry(attempts=2, delay_seconds=1)),
    ],
)
def test_retries_are_a_number_or_a_policy(value: object, wanted: Retry) -> None:
    problems: Problems = []
    assert options.retry(value, problems) == wanted
    assert problems == []


@pytest.mark.parametrize(
    "value",
    [
        -1,
        1001,
        True,
        "3",
        None,
        Retry(attempts=0),
        Retry(attempts=2, delay_seconds=5, max_seconds=1),
        Retry(attempts=2, delay_seconds=-1),
        Retry(attempts=2, max_seconds=float("inf")),
    ],
)
def test_other_retries_are_refused(value: object) -> None:
    problems: Problems = []
    assert options.retry(value, problems) == Retry()
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("value", "wanted", "said"),
    [
        (None, None, ""),
        ("1m", 60.0, ""),
        (0.5, 0.5, ""),
        (0, None, "more than 0 seconds"),
        ("soon", None, "Expected seconds, or a duration"),
        (True, None, "Expected seconds, or a duration"),
    ],
)
def test_timeout(value: object, wanted: float | None, said: str) -> None:
    problems: Problems = []
    assert options.timeout(value, problems) == wanted
    assert (problems == []) if not said else (said in problems[0][0])


@pytest.mark.parametrize(
    ("value", "wanted"), [(None, None), ("a", "a"), (7, "7"), ("", None), (True, None), (1.5, None)]
)
def test_version(value: object, wanted: str | None) -> None:
    problems: Problems = []
    assert options.version(value, problems) == wanted
    assert bool(problems) == (wanted is None and value is not None)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        ("1000/1m", Budget(1000, 60.0)),
        ("2 / 10s", Budget(2, 10.0)),
        ("0/1m", None),
        ("-1/1m", None),
        ("5/0s", None),
        ("5", None),
        ("x/1m", None),
        (5, None),
    ],
)
def test_budget(value: object, wanted: Budget | None) -> None:
    problems: Problems = []
    assert options.budget(value, problems) == wanted
    assert bool(problems) == (wanted is None and value is not None)


@pytest.mark.parametrize(
    ("value", "stream", "kind", "wanted"),
    [
        ("data", False, "file", ("data", None)),
        ("data", True, "kafka", ("data", None)),
        ("reference", False, "file", ("reference", None)),
        ("30d", True, "kafka", ("data", 30 * 86400.0)),
        ("30d", False, "file", None),
        ("reference", True, "kafka", None),
        ("reference", False, "upstream", None),
        (0, True, "kafka", None),
        ("for ever", True, "kafka", None),
    ],
)
def test_keep(value: object, stream: bool, kind: str, wanted: Any) -> None:
    problems: Problems = []
    found = options.keep(value, problems, stream=stream, kind=kind)
    assert found == (wanted or ("data", None))
    assert bool(problems) == (wanted is None)


@pytest.mark.parametrize("value", ["two words", "a,b", "", 5, "all*"])
def test_words_that_no_selection_could_name_are_refused(value: Any) -> None:
    problems: Problems = []
    assert options.labels("tags", ("good", value), problems) == ()
    assert "Expected words in tags" in problems[0][0]
