"""Brings a database to the newest schema: Alembic's migrations, then the field lists.

A new field of a record needs no migration of its own: its column is added here. A
migration is for what a field list can't say: a table, or a value that moves.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine

from pointsman.store import tables


def alembic_config() -> AlembicConfig:
    """Alembic's settings; the migrations come with the package."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def upgrade(engine: Engine) -> None:
    """Run the migrations that the database has not seen, and add the columns it lacks.

    The engine is one for writing: where several hosts do it at once, one comes after the other.
    """
    config = alembic_config()
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # Not within a transaction: SQLite changes its journal only outside one.
            connection.connection.cursor().execute("PRAGMA journal_mode=WAL")
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            _add_columns(connection)


def _add_columns(connection: Connection) -> None:
    operations = Operations(MigrationContext.configure(connection))
    for record, table in tables.TABLES.items():
        for field in tables.missing_fields(connection, record):
            column: sa.Column[Any] = sa.Column(
                field.name,
                table.c[field.name].type,
                nullable=False,
                server_default=_server_default(field.default),
            )
            operations.add_column(table.name, column)


def _server_default(value: Any) -> Any:
    """What rows get that are there already."""
    if value is dataclasses.MISSING:
        raise TypeError("a new field needs a default, for the records that are there already")
    if isinstance(value, bool):
        return sa.true() if value else sa.false()
    return json.dumps(value) if isinstance(value, tuple) else str(value)
