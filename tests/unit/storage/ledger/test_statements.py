"""What the writer says is what SQLAlchemy Core would say, in SQLite's tongue and PostgreSQL's."""

import re
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import ClauseElement, literal_column

from afresh.assets.errors import LedgerError
from afresh.storage.ledger.catalogue import TABLES
from afresh.storage.ledger.commit import Require, Update
from afresh.storage.ledger.declared import METADATA, shapes
from afresh.storage.ledger.statements import Statement, Statements
from support.ledgers import event

KINDS = {"sqlite": sqlite, "postgresql": postgresql}


def test_the_catalogue_is_what_the_tables_declare() -> None:
    assert shapes() == TABLES


def _parameters(columns: tuple[str, ...]) -> dict[str, Any]:
    return {column: bindparam(f"p_{column}") for column in columns}


def _core(kind: Any, op: str, name: str, given: tuple[str, ...]) -> ClauseElement:
    table = METADATA.tables[name]
    key = TABLES[name].key
    changed = tuple(column for column in given if column not in key)
    match = [table.c[column] == bindparam(f"p_{column}") for column in key]
    if op == "delete":
        return delete(table).where(*match)
    if op == "patch":
        return update(table).where(*match).values(_parameters(changed))
    if op == "require":
        wanted: list[Any] = [table.c[column] for column in changed]
        return select(*(wanted or [literal_column("1")])).where(*match)
    columns = tuple(column for column in TABLES[name].defaults if column not in given)
    insert = kind.insert(table).values(_parameters(given + columns))
    if op == "insert":
        return insert  # type: ignore[no-any-return]
    if not changed:
        return insert.on_conflict_do_nothing(index_elements=key)  # type: ignore[no-any-return]
    assigned = {column: insert.excluded[column] for column in changed}
    return insert.on_conflict_do_update(index_elements=key, set_=assigned)  # type: ignore[no-any-return]


def _plain(text: str, name: str) -> str:
    """Return SQL without the quotes, spaces and prefixes that mean nothing."""
    text = re.sub(rf'"|\b{name}\.|::\w+', "", " ".join(text.split()))
    return re.sub(r"\s*([=(),])\s*", r"\1", text)


def _said(statement: Statement, row: dict[str, Any], name: str) -> tuple[str, list[Any]]:
    return _plain(statement.text, name), list(statement.bind((row,))[0])


def _columns(name: str, op: str, how: str) -> tuple[str, ...]:
    shape = TABLES[name]
    others = [column for column in shape.columns if column not in shape.key]
    some = others if how == "all" else others[:1] if how == "one" else []
    if op == "insert" or (op == "upsert" and how != "all"):
        some = [c for c in others if c in some or c not in shape.defaults]
    # In the table's order, which is Core's.
    return tuple(column for column in shape.columns if column in shape.key or column in some)


@pytest.mark.parametrize("how", ["all", "one", "none"])
@pytest.mark.parametrize("op", ["insert", "upsert", "patch", "delete", "require"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TABLES)
def test_core_says_the_same(name: str, kind: str, op: str, how: str) -> None:
    given = _columns(name, op, how)
    row: dict[str, Any] = {column: f"value of {column}" for column in given}
    key = TABLES[name].key
    if op == "require":
        values = {column: row[column] for column in given if column not in key}
        require = Require(name, {column: row[column] for column in key}, values)
        ours = Statements().require(require)
    elif op == "patch" and len(given) == len(key):
        with pytest.raises(LedgerError, match="key alone"):
            Statements().update(Update("patch", name, (row,)))
        return
    else:
        ours = Statements().update(Update(op, name, (row,)))  # type: ignore[arg-type]
    dialect = KINDS[kind].dialect(paramstyle="qmark")
    compiled = _core(KINDS[kind], op, name, given).compile(dialect=dialect)
    values = TABLES[name].defaults | row
    order = [bound.removeprefix("p_") for bound in compiled.positiontup or ()]  # type: ignore[attr-defined]
    ours_text, ours_values = _said(ours, row, name)
    theirs_text, theirs_values = _plain(str(compiled), name), [values[column] for column in order]
    if op in {"insert", "upsert"}:
        # The order of columns is free, and defaults come last with us.
        assert _inserted(ours_text, ours_values) == _inserted(theirs_text, theirs_values)
    else:
        assert (ours_text, ours_values) == (theirs_text, theirs_values)


def _inserted(text: str, values: list[Any]) -> tuple[str, dict[str, Any], str]:
    match = re.fullmatch(r"(INSERT INTO \w+ ?)\((.*?)\) ?VALUES ?\([?,]*\)(.*)", text)
    assert match is not None, text
    columns = match[2].split(",")
    return match[1].strip(), dict(zip(columns, values, strict=True)), match[3].strip()


def test_a_statement_is_composed_once() -> None:
    statements = Statements()
    first = statements.update(Update("insert", "event", (event(1),)))
    assert statements.update(Update("insert", "event", (event(2), event(3)))) is first


@pytest.mark.parametrize("table", ["nowhere", 'event"; DROP TABLE event; --'])
def test_only_known_names_come_into_sql(table: str) -> None:
    with pytest.raises(LedgerError, match="Expected a table"):
        Statements().update(Update("insert", table, ({"seq": 1},)))
    with pytest.raises(LedgerError, match="Expected columns of event"):
        Statements().require(Require("event", {table: 1}, None))


def test_the_writer_imports_neither_sqlalchemy_nor_pydantic() -> None:
    code = (
        "import sys; import afresh.storage.ledger.sqlite, afresh.storage.ledger.lease;"
        " print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"sqlalchemy", "sqlmodel", "pydantic", "alembic"}
