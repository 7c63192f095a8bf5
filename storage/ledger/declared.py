"""What the SQLModel tables declare, as data: tables in SQL, and the catalogue for the writer.

`python -m afresh.storage.ledger.declared` prints `catalogue.py` anew after `tables` has changed.
"""

import sys

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from afresh.storage.ledger import tables
from afresh.storage.ledger.shape import Shape

METADATA = tables.Table.metadata

_HEAD = '''"""The tables' columns, keys and defaults as plain data: printed by `declared`.

The daemon writes with these: SQLModel and SQLAlchemy would cost it 31 MB and 0.4 s at each start.
A test compares them with the tables.
"""

from afresh.storage.ledger.shape import Shape

'''


def schema_statements() -> list[str]:
    """Return the DDL of all tables as declared, for a database in memory."""
    dialect = sqlite.dialect()
    made: list[str] = []
    for table in METADATA.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)))
        made.extend(
            str(CreateIndex(index).compile(dialect=dialect))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        )
    return made


def shapes() -> dict[str, Shape]:
    """Return the shape of each table, by its name."""
    models = {str(model.__tablename__): model for model in tables.Table.__subclasses__()}
    made: dict[str, Shape] = {}
    for name, table in sorted(METADATA.tables.items()):
        fields = models[name].model_fields.items()
        made[name] = Shape(
            columns=tuple(column.name for column in table.columns),
            key=tuple(column.name for column in table.primary_key.columns),
            defaults={field: info.default for field, info in fields if not info.is_required()},
        )
    return made


def catalogue() -> str:
    """Return the text of `catalogue.py`, before the formatter."""
    entries = "\n".join(f"    {name!r}: {shape!r}," for name, shape in shapes().items())
    return f"{_HEAD}TABLES = {{\n{entries}\n}}\n"


if __name__ == "__main__":
    sys.stdout.write(catalogue())
