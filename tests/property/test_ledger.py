"""Commits in any number, grouped as it comes, leave what they leave one after another.

The reference keeps rows in plain dictionaries and shares no code with the ledger.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.errors import LedgerConflict
from afresh.storage.ledger.commit import Commit, Require, Update
from afresh.storage.ledger.sqlite import SqliteLedger
from support.examples import times
from support.ledgers import ledger_file

KEYS = {"cursor": ("sensor",), "pause": ("kind", "name", "partition")}
OTHERS = {"cursor": ("value", "updated_at"), "pause": ("at",)}
VALUES: dict[str, Any] = {
    "sensor": st.sampled_from("abc"),
    "kind": st.just("asset"),
    "name": st.sampled_from("xy"),
    "partition": st.sampled_from(["", "k"]),
    "value": st.sampled_from(["1", "2", "3"]),
    "updated_at": st.sampled_from([1.0, 2.0]),
    "at": st.sampled_from([1.0, 2.0]),
}


@st.composite
def updates(draw: st.DrawFn) -> Update:
    op = draw(st.sampled_from(["insert", "upsert", "patch", "delete"]))
    table = draw(st.sampled_from(sorted(KEYS)))
    columns = KEYS[table] if op == "delete" else KEYS[table] + OTHERS[table]
    if op == "patch" and table == "cursor" and draw(st.booleans()):
        columns = (*KEYS[table], "value")
    row = st.fixed_dictionaries({name: VALUES[name] for name in columns})
    return Update(op, table, draw(st.lists(row, min_size=1, max_size=3)))  # type: ignore[arg-type]


@st.composite
def requires(draw: st.DrawFn) -> Require:
    table = draw(st.sampled_from(sorted(KEYS)))
    key = {name: draw(VALUES[name]) for name in KEYS[table]}
    name = OTHERS[table][0]
    return Require(
        table, key, draw(st.none() | st.just({}) | VALUES[name].map(lambda v: {name: v}))
    )


commits = st.builds(
    Commit,
    st.lists(updates(), min_size=1, max_size=4).map(tuple),
    st.lists(requires(), max_size=1).map(tuple),
)

Tables = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


def applied(tables: Tables, commit: Commit) -> Tables | None:
    """Return the tables after a commit, None if it is to be refused."""
    for require in commit.requires:
        found = tables[require.table].get(tuple(require.key[k] for k in KEYS[require.table]))
        if (found is None) != (require.values is None):
            return None
        if found is not None and any(found[k] != v for k, v in (require.values or {}).items()):
            return None
    after = {name: dict(rows) for name, rows in tables.items()}
    for update in commit.updates:
        rows = after[update.table]
        for row in update.rows:
            key = tuple(row[name] for name in KEYS[update.table])
            if update.op == "insert" and key in rows:
                return None
            if update.op == "delete":
                rows.pop(key, None)
            elif update.op != "patch" or key in rows:
                rows[key] = rows.get(key, {}) | dict(row)
    return after


def stored(path: Path) -> Tables:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    tables: Tables = {}
    for name, keys in KEYS.items():
        rows = [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608  (a literal)
        tables[name] = {tuple(row[key] for key in keys): row for row in rows}
    connection.close()
    return tables


async def submitted(path: Path, waves: list[list[Commit]]) -> list[Exception | None]:
    ledger = SqliteLedger(path)
    errors: list[Exception | None] = []
    for wave in waves:
        for commit in wave:
            ledger.submit(commit, errors.append)
        await anyio.lowlevel.checkpoint()
    await ledger.aclose()
    await anyio.wait_all_tasks_blocked()
    return errors


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A folder in memory: whether commits survive a power cut is not what is looked at here."""
    with TemporaryDirectory(dir="/dev/shm", prefix="afresh-ledger-") as folder:
        yield Path(folder)


@times(0.6)
@given(waves=st.lists(st.lists(commits, max_size=12), min_size=1, max_size=3))
def test_groups_leave_what_single_commits_leave(memory: Path, waves: list[list[Commit]]) -> None:
    path = ledger_file(Path(mkdtemp(dir=memory)))
    expected: Tables = {name: {} for name in KEYS}
    accepted: list[bool] = []
    for commit in (commit for wave in waves for commit in wave):
        after = applied(expected, commit)
        accepted.append(after is not None)
        expected = expected if after is None else after

    errors = anyio.run(submitted, path, waves)

    assert [error is None for error in errors] == accepted
    assert all(error is None or isinstance(error, LedgerConflict) for error in errors)
    assert stored(path) == expected
