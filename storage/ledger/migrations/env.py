"""How Alembic runs: on the connection that `migrate` gives it, within its transaction."""

from alembic import context

from afresh.storage.ledger.tables import Table

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
