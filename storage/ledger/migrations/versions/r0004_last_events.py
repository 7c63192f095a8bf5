"""When each sensor brought something last, so that nobody walks the journal for it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table, and fill it from the journal once."""
    op.create_table(
        "last_event",
        sa.Column("sensor", sa.String(), nullable=False),
        sa.Column("observed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("sensor"),
    )
    op.execute(
        "INSERT INTO last_event (sensor, observed_at)"
        " SELECT sensor, MAX(observed_at) FROM event WHERE sensor <> '' GROUP BY sensor"
    )
