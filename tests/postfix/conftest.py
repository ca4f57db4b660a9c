"""The postfix ring: a private Postfix with real next hops, shared where it can be."""

from pathlib import Path

import pytest

from lab.city import City, built

# Most tests are about ways, and send as fast as they can.
RATE = ("--rate", "unlimited")


def pytest_collection_modifyitems(items):
    """Everything in this folder needs a Postfix."""
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.fspath).parents:
            item.add_marker(pytest.mark.postfix)


def furnish(city: City) -> None:
    """Agencies a, b and c; connectors a and b on one server, tax on another."""
    run = city.postfix.cli
    run(
        "agency",
        "add",
        "a",
        "--login",
        "a-app",
        "--network",
        "192.0.2.1",
        "--network",
        "127.0.0.0/8",
        *RATE,
    )
    run("agency", "add", "b", "--login", "b-app", "--network", "192.0.2.2", *RATE)
    run("agency", "add", "c", "--login", "c-app", "--login", "a-app", *RATE)
    run("connector", "add", "a", *city.connector_options("shared", "court"))
    run("connector", "add", "b", *city.connector_options("shared", "police"))
    run("connector", "add", "tax", *city.connector_options("tax", "tax"))
    run(
        "sender",
        "link",
        "clerk@a.test",
        "user@a.test",
        "one@multi.test",
        "@.sub.test",
        "@bücher.test",
        "@xn--strae-oqa.test",
        "--agency",
        "a",
        "--connector",
        "a",
    )
    run(
        "sender", "link", "user+vip@a.test", "two@multi.test", "--agency", "a", "--connector", "tax"
    )
    run("sender", "link", "@b.test", "@multi.test", "--agency", "b", "--connector", "b")
    run("sender", "link", "@c.test", "--agency", "c", "--connector", "a")
    for name in ("a", "b", "tax"):
        run("connector", "enable", name)
    city.settle()


@pytest.fixture(scope="session")
def shared_city():
    """One city for all tests that change nothing in it."""
    with built() as city:
        furnish(city)
        city.outlast_memory()
        yield city


@pytest.fixture
def city(shared_city):
    """The shared city, with nothing received yet."""
    shared_city.clear()
    return shared_city


@pytest.fixture
def city_of_a():
    """A city for one test alone: agency a's connector a has a server of its own, which may die."""
    with built() as city:
        run = city.postfix.cli
        city.add_hop("own", tls="starttls", logins=["court"])
        run("agency", "add", "a", "--any-client", *RATE)
        run("connector", "add", "a", *city.connector_options("own", "court"))
        run("connector", "enable", "a")
        run("sender", "link", "@a.test", "--agency", "a", "--connector", "a")
        city.settle()
        yield city


@pytest.fixture
def own_city():
    """A city for one test alone, to break."""
    with built() as city:
        furnish(city)
        yield city
