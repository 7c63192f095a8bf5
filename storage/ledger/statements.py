"""SQL for the updates and requirements of commits.

SQLAlchemy Core compiles each statement once, from the tables as SQLModel declares them; the text
is then executed on the DB-API connection itself. PostgreSQL is another dialect here.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.expression import ClauseElement, literal_column

from afresh.assets.errors import LedgerError
from afresh.storage.ledger import tables
from afresh.storage.ledger.commit import Require, Row, Update

METADATA = tables.Table.metadata
_DIALECT = sqlite.dialect(paramstyle="qmark")


class Statement(NamedTuple):
    """SQL text and what makes its parameters of rows. `columns` are what a SELECT returns."""

    text: str
    bind: Callable[[Sequence[Row]], list[tuple[Any, ...]]]
    columns: tuple[str, ...] = ()


def schema_statements() -> list[str]:
    """Return the DDL of all tables as declared, for a database in memory."""
    made: list[str] = []
    for table in METADATA.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=_DIALECT)))
        made.extend(
            str(CreateIndex(index).compile(dialect=_DIALECT))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        )
    return made


class Statements:
    """The statements compiled so far, by what they do."""

    def __init__(self) -> None:
        self._updates: dict[tuple[str, str, tuple[str, ...]], Statement] = {}
        self._requires: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Statement] = {}

    def update(self, change: Update) -> Statement:
        """Return the statement for an update, to be run with each of its rows."""
        key = (change.op, change.table, tuple(change.rows[0]))
        found = self._updates.get(key)
        if found is None:
            found = self._updates[key] = _compile_update(*key)
        return found

    def require(self, require: Require) -> Statement:
        """Return the SELECT that shows whether a requirement holds."""
        key = (require.table, tuple(require.key), tuple(require.values or ()))
        found = self._requires.get(key)
        if found is None:
            found = self._requires[key] = _compile_require(*key)
        return found


def _table(name: str) -> Table:
    try:
        return METADATA.tables[name]
    except KeyError:
        raise LedgerError(f"Expected a table of the ledger, found {name!r}") from None


def _check(table: Table, names: Iterable[str]) -> None:
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise LedgerError(f"Expected columns of {table.name}, found {', '.join(unknown)}")


def _defaults(table: Table) -> dict[str, Any]:
    """Return the defaults that the model declares: SQL text knows nothing of them."""
    models = {model.__tablename__: model for model in tables.Table.__subclasses__()}
    fields = models[table.name].model_fields.items()
    return {name: field.default for name, field in fields if not field.is_required()}


def _compile_update(
    op: Literal["insert", "upsert", "patch", "delete"], name: str, given: tuple[str, ...]
) -> Statement:
    table = _table(name)
    _check(table, given)
    keys = tuple(column.name for column in table.primary_key.columns)
    absent = [key for key in keys if key not in given]
    if absent:
        raise LedgerError(f"Expected the whole key of {name}, found no {', '.join(absent)}")
    values = [column for column in given if column not in keys]
    match = [table.c[key] == bindparam(_name(key)) for key in keys]
    if op == "delete":
        return _compiled(delete(table).where(*match))
    if op == "patch":
        if not values:
            raise LedgerError(f"Expected columns to change in {name}, found the key alone")
        assigned: dict[str, Any] = {column: bindparam(_name(column)) for column in values}
        return _compiled(update(table).where(*match).values(assigned))
    defaults = {key: value for key, value in _defaults(table).items() if key not in given}
    columns = (*given, *defaults)
    insert = sqlite.insert(table).values({column: bindparam(_name(column)) for column in columns})
    if op == "upsert" and values:
        changed = {column: insert.excluded[column] for column in values}
        insert = insert.on_conflict_do_update(index_elements=keys, set_=changed)
    elif op == "upsert":
        insert = insert.on_conflict_do_nothing(index_elements=keys)
    return _compiled(insert, defaults)


def _compile_require(name: str, key: tuple[str, ...], values: tuple[str, ...]) -> Statement:
    table = _table(name)
    _check(table, (*key, *values))
    wanted: list[Any] = [table.c[value] for value in values] or [literal_column("1")]
    match = [table.c[column] == bindparam(_name(column)) for column in key]
    return _compiled(select(*wanted).where(*match), columns=values)


def _name(column: str) -> str:
    # Core keeps the columns' own names for itself.
    return f"p_{column}"


def _compiled(
    clause: ClauseElement, defaults: Row | None = None, columns: tuple[str, ...] = ()
) -> Statement:
    compiled = clause.compile(dialect=_DIALECT)
    order = [name.removeprefix("p_") for name in getattr(compiled, "positiontup", None) or ()]
    return Statement(str(compiled), _binder(order, dict(defaults or {})), columns)


def _binder(
    order: Sequence[str], defaults: dict[str, Any]
) -> Callable[[Sequence[Row]], list[tuple[Any, ...]]]:
    if defaults:
        return lambda rows: [tuple({**defaults, **row}[name] for name in order) for row in rows]
    if len(order) == 1:
        only = order[0]
        return lambda rows: [(row[only],) for row in rows]
    pick = itemgetter(*order)
    return lambda rows: [pick(row) for row in rows]
