"""Migrate a ledger: `python -m afresh.storage.ledger.migrate PATH`, run by `schema` in a child.

A process of its own, so that what Alembic takes in memory and time is gone when it ends.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

MIGRATIONS = Path(__file__).parent / "migrations"


def engine_for(path: Path) -> Engine:
    """Return an engine whose transactions hold DDL too: a migration is whole or not there."""
    engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def by_hand(connection: object, _: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]
        connection.execute("PRAGMA synchronous=FULL")  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def begin(connection: object) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # type: ignore[attr-defined]

    return engine


def migrate(path: Path, revision: str = "head") -> None:
    """Bring the ledger at `path` to a revision, in one transaction; makes it if it is not there."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    engine = engine_for(path)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


def main(path: str) -> None:
    """Migrate, and end with one line that says why if it cannot be done."""
    try:
        migrate(Path(path))
    except DBAPIError as error:
        sys.exit(str(error.orig))


if __name__ == "__main__":
    main(sys.argv[1])
