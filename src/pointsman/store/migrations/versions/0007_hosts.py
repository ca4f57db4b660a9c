"""The hosts that share the database."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Each one's agent writes its own row."""
    op.create_table(
        "host",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("applied", sa.Float, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
        sa.Column("trouble", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
    )
