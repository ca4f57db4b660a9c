"""Brings a database to the newest schema with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Engine


def alembic_config() -> AlembicConfig:
    """Alembic's settings; the migrations come with the package."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def upgrade(engine: Engine) -> None:
    """Run the migrations that the database has not seen."""
    config = alembic_config()
    with engine.execution_options(write=True).connect() as connection:
        if engine.dialect.name == "sqlite":
            # Not within a transaction: SQLite changes its journal only outside one.
            connection.connection.cursor().execute("PRAGMA journal_mode=WAL")
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
