"""Connectors whose mail another one takes for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """None is diverted yet."""
    op.create_table(
        "diversion",
        sa.Column("name", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("to", "who", "at", "until", "reason")
        ),
    )
