"""The histories of metrics: one row for each value that a run logged."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metric_points",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("number", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("run", "name", "step", "at", "number", "value"),
        sqlite_with_rowid=False,
    )
