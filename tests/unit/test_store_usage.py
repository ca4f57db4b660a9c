"""What was sent, in the database; and a database of the version before rates."""

import time
from dataclasses import replace

import pytest
from alembic import command
from sqlalchemy import inspect, text

from pointsman.rates.rate import UNLIMITED
from pointsman.store import usage
from pointsman.store.book import read
from pointsman.store.database import Store
from pointsman.store.migrate import alembic_config

NOW = int(time.time()) // usage.SLICE * usage.SLICE  # old counts are dropped


@pytest.fixture
def database(either_database):
    """All of it is true of SQLite and of PostgreSQL."""
    return either_database


def test_counts_of_several_reports_add_up(store):
    """By name and slice; older slices than asked for are left out."""
    usage.add(
        store, {(NOW, "agency a"): [1, 2, 3, 4, 5], (NOW + 600, "agency a"): [1, 1, 0, 0, 0]}, []
    )
    usage.add(store, {(NOW, "agency a"): [1, 1, 1, 1, 1], (NOW, "agency b"): [0, 0, 1, 0, 0]}, [])
    sums = {"sent": 2, "recipients": 3, "held": 4, "deferred": 5, "refused": 6}
    assert usage.read(store, 0)["agency a"][NOW] == sums
    assert list(usage.read(store, NOW + 1)) == ["agency a"]
    assert list(usage.read(store, NOW + 1)["agency a"]) == [NOW + 600]


def test_counts_of_several_hosts_add_up(store, config):
    """Each host writes rows of its own."""
    for host in ("mx1.test", "mx2.test"):
        its = Store(replace(config, host_name=host))
        usage.add(its, {(NOW, "agency a"): [1, 2, 0, 0, 0]}, [("agency a", "rate-80", "near")])
    assert usage.read(store, 0)["agency a"][NOW]["sent"] == 2
    with store.reading() as connection:
        rows = connection.execute(text("SELECT host, name, kind, text FROM notice")).all()
    assert [row[0] for row in rows] == ["mx1.test", "mx2.test"]
    assert rows[0][1:] == ("agency a", "rate-80", "near")


def test_agencies_from_before_rates_get_the_default(config, tmp_path, request):
    """50 a minute for those that are there, nothing for the built-in one and for connectors."""
    url = f"sqlite:///{tmp_path}/old.db"
    if config.database.startswith("postgresql"):
        url = request.getfixturevalue("postgres").create_database("before_rates")
    old = Store(replace(config, database=url))
    with old.engine.connect() as connection:
        alembic = alembic_config()
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "0001")
        connection.commit()
        names = [column["name"] for column in inspect(connection).get_columns("agency")]
        values = {"name": "'court'", "logins": "'[\"x\"]'", "networks": "'[]'"}
        values["any_client"] = "false"
        row = ", ".join(values.get(name, "''") for name in names)
        connection.exec_driver_sql(f"INSERT INTO agency ({', '.join(names)}) VALUES ({row})")
        connection.commit()
    old.create()
    agencies = read(old).agencies
    assert (agencies["court"].rate, agencies["court"].over_limit) == ("50/minute", "delay")
    assert (agencies["court"].held_max, agencies["court"].exempt) == (10_000, True)
    assert agencies["default"].rate == UNLIMITED
