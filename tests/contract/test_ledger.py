"""What every ledger does, on asyncio and on trio."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from afresh.assets.errors import LedgerConflict, LedgerError, LedgerUnavailable
from afresh.storage.ledger import listings, validations
from afresh.storage.ledger.commit import Commit, Ledger, Require, Update
from afresh.storage.ledger.memory import MemoryLedger
from afresh.storage.ledger.sqlite import SqliteLedger
from support.ledgers import cursor, event, insert, ledger_file, segment, unit, validation, version

SEQS = "SELECT seq FROM event ORDER BY seq"
CURSOR = "SELECT value FROM cursor WHERE sensor = :sensor"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sqlite", "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    made: Ledger
    made = SqliteLedger(ledger_file(tmp_path)) if request.param == "sqlite" else MemoryLedger()
    yield made
    await made.aclose()


class Answers:
    """Collects the answers to numbered commits, in the order in which they come."""

    def __init__(self, expected: int) -> None:
        self.given: list[tuple[int, Exception | None]] = []
        self._expected = expected
        self._all = anyio.Event()

    def take(self, number: int, error: Exception | None) -> None:
        self.given.append((number, error))
        if len(self.given) == self._expected:
            self._all.set()

    async def wait(self) -> None:
        with anyio.fail_after(60):
            await self._all.wait()


async def submit_all(ledger: Ledger, commits: list[Commit]) -> list[Exception | None]:
    answers = Answers(len(commits))
    for number, commit in enumerate(commits):
        ledger.submit(commit, partial(answers.take, number))
    await answers.wait()
    assert [number for number, _ in answers.given] == list(range(len(commits)))
    return [error for _, error in answers.given]


async def test_what_is_committed_is_read(ledger: Ledger) -> None:
    await ledger.commit(Commit((Update("insert", "event", (event(1), event(2))), cursor("7"))))
    assert await ledger.rows(SEQS) == [(1,), (2,)]
    assert await ledger.rows(CURSOR, {"sensor": "flights"}) == [("7",)]


async def test_columns_that_are_not_given_have_their_defaults(ledger: Ledger) -> None:
    row = {"asset": "a", "partition": "", "updated_at": 2.0}
    await ledger.commit(insert("unit", row))
    sql = "SELECT version, epoch, run_key, deleted, failed_run FROM unit"
    assert await ledger.rows(sql) == [(None, 0, "", 0, None)]


async def test_upsert_replaces_only_the_given_columns(ledger: Ledger) -> None:
    await ledger.commit(insert("unit", unit("a", version=3, run_key="old")))
    changed = {"asset": "a", "partition": "", "version": 4, "updated_at": 9.0}
    await ledger.commit(Commit((Update("upsert", "unit", (changed,)),)))
    sql = "SELECT version, run_key, updated_at FROM unit"
    assert await ledger.rows(sql) == [(4, "old", 9.0)]


async def test_upsert_of_a_key_alone_leaves_the_row(ledger: Ledger) -> None:
    await ledger.commit(insert("revalidation", {"asset": "a", "event": 7}))
    keys = ({"asset": "a"}, {"asset": "b"})
    await ledger.commit(Commit((Update("upsert", "revalidation", keys),)))
    sql = "SELECT asset, event FROM revalidation ORDER BY asset"
    assert await ledger.rows(sql) == [("a", 7), ("b", None)]


async def test_rows_are_deleted_by_their_keys(ledger: Ledger) -> None:
    pauses = [{"kind": "asset", "name": name, "partition": "", "at": 1.0} for name in "ab"]
    await ledger.commit(insert("pause", *pauses))
    keys = [{"kind": "asset", "name": name, "partition": ""} for name in "ac"]
    await ledger.commit(Commit((Update("delete", "pause", keys),)))
    assert await ledger.rows("SELECT name FROM pause") == [("b",)]


async def test_patch_changes_rows_that_exist_and_no_others(ledger: Ledger) -> None:
    await ledger.commit(insert("event", event(1), event(2)))
    rows = [{"seq": seq, "state": "ingested", "epoch": 5} for seq in (2, 3)]
    await ledger.commit(Commit((Update("patch", "event", rows),)))
    sql = "SELECT seq, state, epoch FROM event ORDER BY seq"
    assert await ledger.rows(sql) == [(1, "pending", None), (2, "ingested", 5)]


async def test_an_update_without_rows_is_nothing(ledger: Ledger) -> None:
    await ledger.commit(Commit((Update("insert", "event", ()), cursor("1"))))
    assert await ledger.rows(SEQS) == []
    assert await ledger.rows(CURSOR, {"sensor": "flights"}) == [("1",)]


async def test_updates_of_one_commit_apply_in_order(ledger: Ledger) -> None:
    key = {"sensor": "flights"}
    updates = (cursor("1"), Update("delete", "cursor", (key,)), cursor("2"), cursor("3"))
    await ledger.commit(Commit(updates))
    assert await ledger.rows(CURSOR, key) == [("3",)]


async def test_commits_apply_and_answer_in_the_order_of_submission(ledger: Ledger) -> None:
    commits = [
        Commit((Update("insert", "event", (event(number + 1),)), cursor(str(number))))
        for number in range(600)
    ]
    assert await submit_all(ledger, commits) == [None] * 600
    assert await ledger.rows(CURSOR, {"sensor": "flights"}) == [("599",)]
    assert await ledger.rows("SELECT count(*), max(seq) FROM event") == [(600, 600)]


@pytest.mark.parametrize(
    "require",
    [
        pytest.param(Require("cursor", {"sensor": "flights"}, {"value": "2"}), id="other value"),
        pytest.param(Require("cursor", {"sensor": "flights"}, None), id="there"),
        pytest.param(Require("cursor", {"sensor": "none"}, {"value": "1"}), id="not there"),
        pytest.param(Require("cursor", {"sensor": "none"}, {}), id="no row"),
    ],
)
async def test_a_requirement_that_fails_is_a_conflict(ledger: Ledger, require: Require) -> None:
    await ledger.commit(Commit((cursor("1"),)))
    with pytest.raises(LedgerConflict, match="Expected cursor"):
        await ledger.commit(Commit((cursor("9"), cursor("9", "more")), (require,)))
    assert await ledger.rows("SELECT sensor, value FROM cursor") == [("flights", "1")]


@pytest.mark.parametrize(
    "require",
    [
        Require("cursor", {"sensor": "flights"}, {"value": "1", "updated_at": 1.0}),
        Require("cursor", {"sensor": "flights"}, {}),
        Require("cursor", {"sensor": "none"}, None),
    ],
)
async def test_a_requirement_that_holds_lets_the_commit_pass(
    ledger: Ledger, require: Require
) -> None:
    await ledger.commit(Commit((cursor("1"),)))
    await ledger.commit(Commit((cursor("2"),), (require,)))
    assert await ledger.rows(CURSOR, {"sensor": "flights"}) == [("2",)]


async def test_a_requirement_of_null_and_of_a_boolean(ledger: Ledger) -> None:
    await ledger.commit(insert("unit", unit("a", version=None)))
    key = {"asset": "a", "partition": ""}
    await ledger.commit(
        Commit((cursor("1"),), (Require("unit", key, {"version": None, "deleted": False}),))
    )
    with pytest.raises(LedgerConflict):
        await ledger.commit(Commit((cursor("2"),), (Require("unit", key, {"version": 1}),)))


async def test_requirements_see_the_commits_before_them(ledger: Ledger) -> None:
    def step(old: str, new: str) -> Commit:
        return Commit((cursor(new),), (Require("cursor", {"sensor": "flights"}, {"value": old}),))

    errors = await submit_all(
        ledger,
        [Commit((cursor("1"),)), step("1", "2"), step("1", "bad"), step("2", "3"), step("3", "4")],
    )
    assert [type(error) for error in errors] == [
        type(None), type(None), LedgerConflict, type(None), type(None)
    ]  # fmt: skip
    assert await ledger.rows(CURSOR, {"sensor": "flights"}) == [("4",)]


async def test_a_bad_commit_is_refused_whole_and_alone(ledger: Ledger) -> None:
    good = [insert("event", event(seq)) for seq in (1, 2, 3)]
    doubled = Commit((cursor("bad"), Update("insert", "event", (event(9), event(1)))))
    unknown = Commit((cursor("bad"), Update("insert", "nowhere", (event(8),))))
    column = Commit((cursor("bad"), Update("patch", "event", ({"seq": 1, "colour": "red"},))))
    keyless = Commit((cursor("bad"), Update("patch", "event", ({"state": "dead"},))))
    uneven = Commit((cursor("bad"), Update("insert", "event", (event(7), {"seq": 8}))))
    nothing = Commit((cursor("bad"), Update("insert", "event", (event(7, uri=None),))))
    value = Commit((cursor("bad"), Update("insert", "event", (event(7, uri=object()),))))
    errors = await submit_all(
        ledger,
        [good[0], doubled, good[1], unknown, column, keyless, uneven, nothing, value, good[2]],
    )
    refused = [type(error) for error in errors if error is not None]
    assert refused == [LedgerConflict] + [LedgerError] * 6
    assert errors[0] is errors[2] is errors[-1] is None
    assert await ledger.rows(SEQS) == [(1,), (2,), (3,)]
    assert await ledger.rows("SELECT * FROM cursor") == []


async def test_text_and_bytes_come_back_as_they_were(ledger: Ledger) -> None:
    name = "a\x00b \u202e'\"\n%"
    row = {"epoch": 1, "digest": name, "manifest": b"\x00\xff", "loaded_at": 1.5}
    await ledger.commit(insert("definitions", row))
    assert await ledger.rows("SELECT digest, manifest FROM definitions") == [(name, b"\x00\xff")]


async def test_after_closing_nothing_is_taken(ledger: Ledger) -> None:
    taken: list[Exception | None] = []
    ledger.submit(insert("event", event(1)), taken.append)
    await ledger.aclose()
    await anyio.lowlevel.checkpoint()
    assert taken == [None]
    with pytest.raises(LedgerUnavailable):
        await ledger.commit(insert("event", event(2)))
    await ledger.aclose()


async def test_what_is_to_be_validated_goes_as_verdicts_come(ledger: Ledger) -> None:
    versions = [
        version("a", "k", 1, schema_version="old"),
        version("a", "k", 2, schema_version="old"),
        version("a", "l", 1, schema_version="new"),
        version("a", "m", 1, schema_version="old", state="collected"),
        version("b", "", 1, schema_version="old"),
    ]
    units = [unit("a", "k", version=2), unit("a", "l"), unit("a", "m"), unit("b")]
    await ledger.commit(insert("version", *versions))
    await ledger.commit(insert("unit", *units))
    at = {"asset": "a", "schema": "new", "every": True, "partition": "", "number": -1, "limit": 9}

    async def left(query: str, **other: object) -> list[tuple[str, int]]:
        return [(row[0], row[2]) for row in await ledger.rows(query, {**at, **other}) if row[7]]

    assert await left(validations.HEADS) == [("k", 2)]
    assert await left(validations.VERSIONS) == [("k", 1), ("k", 2)]
    assert await left(validations.VERSIONS, number=1, partition="k") == [("k", 2)]
    assert await left(validations.HEADS, asset="b") == [("", 1)]
    assert await left(validations.VERSIONS, every=False) == [], "nothing is suspect yet"

    await ledger.commit(insert("validation", validation("a", "k", 2, "new", "suspect")))
    assert await left(validations.HEADS) == []
    assert await left(validations.VERSIONS) == [("k", 1)]
    heads = await ledger.rows(validations.SUSPECT_HEADS, {})
    assert [row[:3] for row in heads] == [("a", "k", 2)]
    key = {"asset": "a", "partition": "k", "version": 1}
    assert await ledger.rows(validations.OF_VERSION, key) == []
    assert len(await ledger.rows(validations.OF_VERSION, {**key, "version": 2})) == 1
    newer = {"every": False, "schema": "newer"}
    assert await left(validations.VERSIONS, **newer) == [("k", 2)]
    passed = validation("a", "k", 2, "newer", "ok")
    await ledger.commit(Commit((Update("upsert", "validation", [passed]),)))
    assert await left(validations.VERSIONS, **newer) == []
    assert await ledger.rows(validations.SUSPECT_HEADS, {}) == []


async def test_of_a_stream_rows_are_suspect_wherever_they_lie(ledger: Ledger) -> None:
    ranges = [(0, 10), (10, 20), (20, 30)]
    segments = [segment("s", first, end, schema_version="old") for first, end in ranges]
    versions = [
        version("s", "", number, start_row=start, end_row=end)
        for number, (start, end) in enumerate([(0, 10), (0, 20), (12, 30), (20, 30)], 1)
    ]
    await ledger.commit(insert("segment", *segments))
    await ledger.commit(insert("version", *versions))
    await ledger.commit(insert("unit", unit("s", version=3)))
    at = {"asset": "s", "schema": "new", "every": True, "partition": "", "number": -1, "limit": 9}

    async def left(**other: object) -> list[int]:
        rows = await ledger.rows(validations.SEGMENTS, {**at, **other})
        return [row[1] for row in rows if row[7]]

    assert await left() == [0, 10, 20]
    assert await left(number=0) == [10, 20]
    bad = validation("s", "", 0, "new", "suspect", first_row=10, end_row=20)
    good = validation("s", "", 0, "new", "ok", first_row=0, end_row=10)
    await ledger.commit(insert("validation", good, bad))
    assert await left() == [20]
    assert await left(every=False) == []
    assert await left(every=False, schema="newer") == [10]
    query = listings.versions("s")
    suspect = {row[2]: bool(row[20]) for row in await ledger.rows(query.sql, query.parameters)}
    assert suspect == {1: False, 2: True, 3: True, 4: False}
    assert [row[2] for row in await ledger.rows(validations.SUSPECT_HEADS, {})] == [3]
    # Merged with those beside it the rows are no better, and are found by the range.
    gone = [{"asset": "s", "partition": "", "first_row": 10}]
    merged = Update("upsert", "segment", [segment("s", 0, 20, schema_version="old")])
    await ledger.commit(Commit((Update("delete", "segment", gone), merged)))
    assert await left(every=False, schema="newer") == [0]
    assert [row[2] for row in await ledger.rows(validations.SUSPECT_HEADS, {})] == [3]
    within = {"asset": "s", "partition": "", "first": 0, "end": 20}
    assert await ledger.rows(validations.ROWS_WITHIN, within) == [(0,), (10,)]
