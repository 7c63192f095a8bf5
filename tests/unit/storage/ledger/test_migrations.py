"""Migrations make what the models declare, whole or not at all, and never a newer ledger older."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from afresh.assets.errors import LedgerUnavailable, LedgerUnusable
from afresh.storage.ledger import schema
from afresh.storage.ledger.declared import METADATA, schema_statements
from afresh.storage.ledger.migrate import MIGRATIONS, engine_for, migrate
from afresh.storage.ledger.revision import HEAD, REVISIONS, stored_revision
from afresh.storage.ledger.schema import ensure_schema
from support.ledgers import ledger_file


def test_models_and_migrations_agree(tmp_path: Path) -> None:
    engine = engine_for(ledger_file(tmp_path))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def _shape(connection: sqlite3.Connection) -> dict[str, str]:
    sql = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
    return {name: "".join(text.split()) for name, text in connection.execute(sql)}


def test_a_ledger_in_memory_has_the_same_tables(tmp_path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as memory:
        for statement in schema_statements():
            memory.execute(statement)
        with closing(sqlite3.connect(ledger_file(tmp_path))) as file:
            assert _shape(memory) == _shape(file)


def test_the_literal_revisions_are_those_of_the_scripts() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert scripts.get_heads() == [HEAD]
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(REVISIONS)


def test_a_fresh_ledger_is_made_in_a_child(tmp_path: Path) -> None:
    path = tmp_path / "with space %" / "ledger.sqlite"
    ensure_schema(path)
    with closing(sqlite3.connect(path)) as connection:
        assert stored_revision(connection) == HEAD


def test_nothing_is_started_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ledger_file(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(sys, "executable", "/nowhere")
    ensure_schema(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE validity (x)")
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    with pytest.raises(LedgerUnavailable, match="validity already exists"):
        ensure_schema(path)
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master ORDER BY 1")]
    assert names == ["alembic_version", "validity"]


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    path = ledger_file(tmp_path)
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [(HEAD,)]


def test_what_an_older_ledger_holds_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    migrate(path, REVISIONS[0])
    event = (7, 1, "s", "s", "d1", "arrived", "a.csv", 1.5, "ingested", None, "", "[1]")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"INSERT INTO event VALUES ({', '.join('?' * len(event))})", event)  # noqa: S608
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        (row,) = connection.execute("SELECT * FROM event")
        assert connection.execute("SELECT * FROM last_event").fetchall() == [("s", 1.5)]
        assert stored_revision(connection) == HEAD
    assert row[: len(event)] == event
    assert not any(row[len(event) :])


@pytest.mark.parametrize("content", ["newer", "foreign", "damaged", "garbage"])
def test_what_cannot_be_used_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = ledger_file(tmp_path)
    if content == "newer":
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
    elif content == "foreign":
        path.unlink()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE shopping (item)")
    elif content == "damaged":
        with path.open("r+b") as file:
            file.seek(2 * 4096)
            file.write(b"\xff" * 4096 * 3)
    else:
        path.write_bytes(b"garbage" * 4096)
    before = path.read_bytes()
    with pytest.raises(LedgerUnusable) as caught:
        ensure_schema(path)
    assert caught.value.hint
    assert path.read_bytes() == before


def test_network_disks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise LedgerUnusable("network")

    monkeypatch.setattr(schema, "refuse_network", refuse)
    with pytest.raises(LedgerUnusable, match="network"):
        ensure_schema(tmp_path / "ledger.sqlite")
