"""Rates, pauses, and what is known of what was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Give the agencies that are there the default rate; the built-in one has none."""
    with op.batch_alter_table("agency") as agency:
        agency.add_column(_text("rate", "50/minute"))
        agency.add_column(_text("over_limit", "delay"))
        agency.add_column(_number("held_max", 10_000))
        agency.add_column(sa.Column("exempt", sa.Boolean, nullable=False, server_default=sa.true()))
    with op.batch_alter_table("connector") as connector:
        connector.add_column(_text("rate", "unlimited"))
        connector.add_column(_number("backlog", 2_000))
    with op.batch_alter_table("sender") as sender:
        sender.add_column(_text("rate", ""))
    op.execute("UPDATE agency SET rate = 'unlimited' WHERE name = 'default'")
    op.create_table(
        "pause",
        sa.Column("name", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("who", "at", "until", "reason")),
    )
    op.create_table(
        "usage",
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("sent", "recipients", "held", "deferred", "refused")
        ),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("host", "at", "name", "kind", "text")
        ),
    )


def _text(name: str, default: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False, server_default=default)


def _number(name: str, default: int) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer, nullable=False, server_default=str(default))
