"""Several connectors for a sender, in one text: the first was the only one."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Only the name changes; what else senders have is added from their field list."""
    with op.batch_alter_table("sender") as sender:
        sender.alter_column("connector", new_column_name="connectors")
