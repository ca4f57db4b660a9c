"""The tables, their columns made from the records' field lists."""

import dataclasses
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    inspect,
)

from pointsman.store.records import Agency, Change, Connector, Diversion, Pause, Sender

metadata = MetaData()


def _column(field: dataclasses.Field[Any], primary: str) -> Column[Any]:
    if "dict" in str(field.type):
        return Column(field.name, JSON, nullable=True)
    kinds: dict[Any, Any] = {bool: Boolean, tuple: JSON, int: Integer, str: Text}
    kind = kinds[getattr(field.type, "__origin__", field.type)]
    return Column(field.name, kind, primary_key=field.name == primary, nullable=False)


def _table(name: str, record: type, primary: str, *more: Column[Any]) -> Table:
    columns = [_column(field, primary) for field in dataclasses.fields(record)]
    return Table(name, metadata, *more, *columns)


agency = _table("agency", Agency, "name")
connector = _table("connector", Connector, "name")
sender = _table("sender", Sender, "key")
pause = _table("pause", Pause, "name")
diversion = _table("diversion", Diversion, "name")
change = _table("change", Change, "", Column("id", Integer, primary_key=True, autoincrement=True))

# Every pair that ever had a carrier keeps its row: queued mail must not fall through.
carrier = Table(
    "carrier",
    metadata,
    Column("agency", Text, primary_key=True),
    Column("connector", Text, primary_key=True),
)
setting = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)
COUNTS = ("sent", "recipients", "held", "deferred", "refused")
usage = Table(
    "usage",
    metadata,
    Column("host", Text, primary_key=True),
    Column("start", BigInteger, primary_key=True),  # of a slice, seconds since the epoch
    Column("name", Text, primary_key=True),  # `agency court`, `connector court-smtp`
    *(Column(count, BigInteger, nullable=False) for count in COUNTS),
)
notice = Table(
    "notice",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("host", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
)
# Not of the book: a renewal raises no revision. `account` tells whose tokens they are.
token = Table(
    "token",
    metadata,
    Column("connector", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("access", Text, nullable=False),  # sealed, as is the next
    Column("refresh", Text, nullable=False),
    Column("obtained", Float, nullable=False),  # seconds since the epoch, as is the next
    Column("expires", Float, nullable=False),
)
# What each host's agent says of itself: of no revision, either.
host = Table(
    "host",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("applied", Float, nullable=False),  # seconds since the epoch, as is the next
    Column("seen", Float, nullable=False),
    Column("trouble", Text, nullable=False),
    Column("run", Text, nullable=False),
)
revision = Table("revision", metadata, Column("number", Integer, primary_key=True))

TABLES: dict[type, Table] = {
    Agency: agency,
    Connector: connector,
    Sender: sender,
    Pause: pause,
    Diversion: diversion,
}
KEYS: dict[type, str] = {**dict.fromkeys(TABLES, "name"), Sender: "key"}


def missing_fields(connection: Connection, record: type) -> list[dataclasses.Field[Any]]:
    """The fields of a record that its table has no column for yet."""
    if not inspect(connection).has_table(TABLES[record].name):
        return []
    there = {column["name"] for column in inspect(connection).get_columns(TABLES[record].name)}
    return [field for field in dataclasses.fields(record) if field.name not in there]
