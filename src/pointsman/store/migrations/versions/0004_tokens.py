"""Access and refresh tokens, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Beside the book: a renewal is no edit of an admin's."""
    op.create_table(
        "token",
        sa.Column("connector", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("access", sa.Text, nullable=False),
        sa.Column("refresh", sa.Text, nullable=False),
        sa.Column("obtained", sa.Float, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
    )
