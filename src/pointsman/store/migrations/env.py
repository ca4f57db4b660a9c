"""Alembic's entry: runs within the connection that migrate.py opened."""

from alembic import context

from pointsman.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
