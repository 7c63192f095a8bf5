"""SQL for the updates and requirements of commits, composed once a shape and then kept.

Five forms of statement over the catalogue's names; a test compares each with what SQLAlchemy Core
compiles from the SQLModel tables, for SQLite and for PostgreSQL.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from afresh.assets.errors import LedgerError
from afresh.storage.ledger.catalogue import TABLES
from afresh.storage.ledger.commit import Require, Row, Update
from afresh.storage.ledger.shape import Shape


class Statement(NamedTuple):
    """SQL text and what makes its parameters of rows. `columns` are what a SELECT returns."""

    text: str
    bind: Callable[[Sequence[Row]], list[tuple[Any, ...]]]
    columns: tuple[str, ...] = ()


class Statements:
    """The statements composed so far, by what they do."""

    def __init__(self) -> None:
        self._updates: dict[tuple[str, str, tuple[str, ...]], Statement] = {}
        self._requires: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Statement] = {}

    def update(self, change: Update) -> Statement:
        """Return the statement for an update, to be run with each of its rows.

        Raises LedgerError for a table or column that is not there, or a key that is not whole.
        """
        key = (change.op, change.table, tuple(change.rows[0]))
        found = self._updates.get(key)
        if found is None:
            found = self._updates[key] = _FORMS[change.op](change.table, key[2])
        return found

    def require(self, require: Require) -> Statement:
        """Return the SELECT that shows whether a requirement holds."""
        key = (require.table, tuple(require.key), tuple(require.values or ()))
        found = self._requires.get(key)
        if found is None:
            found = self._requires[key] = _select(*key)
        return found


def _insert(name: str, given: tuple[str, ...]) -> Statement:
    shape = _shape(name, given, key=True)
    defaults = {column: value for column, value in shape.defaults.items() if column not in given}
    columns = (*given, *defaults)
    marks = ", ".join("?" * len(columns))
    text = f"INSERT INTO {_quoted(name)} ({_listed(columns)}) VALUES ({marks})"  # noqa: S608 - names of ours
    return Statement(text, _binder(columns, defaults))


def _upsert(name: str, given: tuple[str, ...]) -> Statement:
    insert = _insert(name, given)
    key = TABLES[name].key
    changed = [_quoted(column) for column in given if column not in key]
    assigned = ", ".join(f"{column} = excluded.{column}" for column in changed)
    action = f"DO UPDATE SET {assigned}" if changed else "DO NOTHING"
    return insert._replace(text=f"{insert.text} ON CONFLICT ({_listed(key)}) {action}")


def _patch(name: str, given: tuple[str, ...]) -> Statement:
    key = _shape(name, given, key=True).key
    changed = tuple(column for column in given if column not in key)
    if not changed:
        raise LedgerError(f"Expected columns to change in {name}, found the key alone")
    assigned = ", ".join(f"{_quoted(column)} = ?" for column in changed)
    text = f"UPDATE {_quoted(name)} SET {assigned} WHERE {_matched(key)}"  # noqa: S608 - names of ours
    return Statement(text, _binder((*changed, *key)))


def _delete(name: str, given: tuple[str, ...]) -> Statement:
    key = _shape(name, given, key=True).key
    text = f"DELETE FROM {_quoted(name)} WHERE {_matched(key)}"  # noqa: S608 - names of ours
    return Statement(text, _binder(key))


def _select(name: str, key: tuple[str, ...], values: tuple[str, ...]) -> Statement:
    _shape(name, (*key, *values), key=False)
    text = f"SELECT {_listed(values) or 1} FROM {_quoted(name)} WHERE {_matched(key)}"  # noqa: S608 - names of ours
    return Statement(text, _binder(key), values)


_FORMS = {"insert": _insert, "upsert": _upsert, "patch": _patch, "delete": _delete}


def _shape(name: str, given: Iterable[str], *, key: bool) -> Shape:
    """Return a table's shape, having checked the columns: only names it knows come into SQL."""
    shape = TABLES.get(name)
    if shape is None:
        raise LedgerError(f"Expected a table of the ledger, found {name!r}")
    unknown = [column for column in given if column not in shape.columns]
    if unknown:
        raise LedgerError(f"Expected columns of {name}, found {', '.join(unknown)}")
    absent = [column for column in shape.key if column not in given]
    if key and absent:
        raise LedgerError(f"Expected the whole key of {name}, found no {', '.join(absent)}")
    return shape


def _quoted(name: str) -> str:
    return f'"{name}"'


def _listed(names: Iterable[str]) -> str:
    return ", ".join(_quoted(name) for name in names)


def _matched(key: Iterable[str]) -> str:
    return " AND ".join(f"{_quoted(column)} = ?" for column in key)


def _binder(
    order: Sequence[str], defaults: Row | None = None
) -> Callable[[Sequence[Row]], list[tuple[Any, ...]]]:
    if defaults:
        return lambda rows: [tuple({**defaults, **row}[name] for name in order) for row in rows]
    if len(order) == 1:
        only = order[0]
        return lambda rows: [(row[only],) for row in rows]
    pick = itemgetter(*order)
    return lambda rows: [pick(row) for row in rows]
