"""Streams: what arrives in batches, where its rows are, how far readers are; the outbox.

And what is known of stored data under schemas that were changed since.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and tables; what is there stays as it is."""
    op.add_column(
        "event", sa.Column("payload", sa.LargeBinary(), nullable=False, server_default="")
    )
    op.add_column("event", sa.Column("staged", sa.String(), nullable=False, server_default=""))
    op.add_column("event", sa.Column("position", sa.String(), nullable=False, server_default=""))
    op.add_column("event", sa.Column("depth", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "ix_event_depth",
        "event",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("depth > 0"),
        postgresql_where=sa.text("depth > 0"),
    )
    op.create_index(
        "ix_event_staged",
        "event",
        ["staged"],
        unique=False,
        sqlite_where=sa.text("staged <> ''"),
        postgresql_where=sa.text("staged <> ''"),
    )
    op.add_column("version", sa.Column("start_row", sa.Integer(), nullable=True))
    op.add_column("version", sa.Column("end_row", sa.Integer(), nullable=True))
    op.add_column("version", sa.Column("origin_row", sa.Integer(), nullable=True))
    op.create_table(
        "segment",
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("partition", sa.String(), nullable=False),
        sa.Column("first_row", sa.Integer(), nullable=False),
        sa.Column("end_row", sa.Integer(), nullable=False),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("columns", sa.String(), nullable=False),
        sa.Column("schema_version", sa.String(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("asset", "partition", "first_row"),
    )
    op.create_table(
        "mark",
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("partition", sa.String(), nullable=False),
        sa.Column("parameter", sa.String(), nullable=False),
        sa.Column("end_row", sa.Integer(), nullable=False),
        sa.Column("origin_row", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("asset", "partition", "parameter"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dead_letter",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("partition", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("replay_seq", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("seq", "number"),
    )
    op.create_index(op.f("ix_dead_letter_source"), "dead_letter", ["source"], unique=False)
    op.create_table(
        "garbage",
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("uri"),
    )
    op.create_table(
        "outgoing",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index(op.f("ix_outgoing_target"), "outgoing", ["target"], unique=False)
    _add_validations()


def _add_validations() -> None:
    op.create_table(
        "validation",
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("partition", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("first_row", sa.Integer(), nullable=False),
        sa.Column("end_row", sa.Integer(), nullable=True),
        sa.Column("schema_version", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("event", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("cases", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("asset", "partition", "version", "first_row"),
    )
    op.create_index(op.f("ix_validation_state"), "validation", ["state"], unique=False)
    op.create_table(
        "revalidation",
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("event", sa.Integer(), nullable=True),
        sa.Column("only_suspect", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("asset"),
    )
