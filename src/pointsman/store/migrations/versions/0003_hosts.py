"""Several hosts for a connector, in order."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """What was the host is the only one of the list."""
    with op.batch_alter_table("connector") as connector:
        connector.add_column(sa.Column("hosts", sa.JSON, nullable=False, server_default="[]"))
    bind = op.get_bind()
    table = sa.table("connector", sa.column("name"), sa.column("host"), sa.column("hosts", sa.JSON))
    for name, host in bind.execute(sa.select(table.c.name, table.c.host)).all():
        bind.execute(table.update().where(table.c.name == name).values(hosts=[host]))
    with op.batch_alter_table("connector") as connector:
        connector.drop_column("host")
