"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them, with the built-in agency and revision 0."""
    agency = op.create_table(
        "agency",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("logins", sa.JSON, nullable=False),
        sa.Column("networks", sa.JSON, nullable=False),
        sa.Column("any_client", sa.Boolean, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
    )
    op.create_table(
        "connector",
        sa.Column("name", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in (
                "host",
                "tls",
                "auth",
                "username",
                "password",
                "ca",
                "envelope",
                "description",
                "state",
            )
        ),
    )
    op.create_table(
        "sender",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("connector", sa.Text, nullable=False),
    )
    op.create_table(
        "change",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("old", sa.JSON, nullable=True),
        sa.Column("new", sa.JSON, nullable=True),
    )
    op.create_table(
        "carrier",
        sa.Column("agency", sa.Text, primary_key=True),
        sa.Column("connector", sa.Text, primary_key=True),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )
    revision_table = op.create_table("revision", sa.Column("number", sa.Integer, primary_key=True))
    op.bulk_insert(revision_table, [{"number": 0}])
    op.bulk_insert(
        agency,
        [
            {
                "name": "default",
                "logins": [],
                "networks": [],
                "any_client": True,
                "description": "Built in: owns mail that no sender link matches.",
            }
        ],
    )
