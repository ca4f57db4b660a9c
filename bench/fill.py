"""Fills a database with as many connectors and sender links as wanted."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.instance import Instance
from pointsman import config
from pointsman.store.book import editing
from pointsman.store.database import Store
from pointsman.store.records import Agency, Connector, Sender

PASSWORD = "pa$$ word: #1 of "  # with the characters that Postfix's tables find hard


@dataclass(frozen=True)
class Size:
    """How much there is to know: one agency for each connector, the links shared out."""

    connectors: int
    links: int
    passwords: bool = False

    def __str__(self) -> str:
        logins = ", each with a login" if self.passwords else ""
        return f"{self.connectors:,} connectors{logins}, {self.links:,} links"


SMALL, LARGE = Size(10, 100), Size(1_000, 100_000)


def link_key(number: int) -> str:
    """Name a link: one in eleven is a whole domain, the others are addresses."""
    local = "clerk" if number % 11 else ""
    return f"{local}@town{number}.example"


def address(size: Size, connector: int) -> str:
    """A linked address of a connector: no other link is as precise."""
    numbers = range(connector, size.links, size.connectors)
    return next(key for key in map(link_key, numbers) if not key.startswith("@"))


def fill(postfix: Instance, size: Size, sink: int) -> None:
    """Write it all in one revision, as `sender link --from-file` and a script would."""
    settings = config.load(postfix.config_file)
    store = Store(settings)
    with editing(store) as edit:
        edit.add(*_agencies(size), *_connectors(size, sink, store), *_senders(size))
        edit.reserve_carriers((f"a{n}", f"c{n}") for n in range(size.connectors))


def _agencies(size: Size) -> Iterator[Agency]:
    for n in range(size.connectors):
        yield Agency(
            f"a{n}",
            logins=(f"app{n}",),
            networks=("192.0.2.0/24", "127.0.0.0/8"),
            rate="unlimited",  # the rate of new ones would hold what we send
        )


def _connectors(size: Size, sink: int, store: Store) -> Iterator[Connector]:
    for n in range(size.connectors):
        login = (
            {
                "auth": "password",
                "username": f"user{n}",
                "password": store.secrets.seal(f"{PASSWORD}{n}"),
            }
            if size.passwords
            else {}
        )
        yield Connector(
            f"c{n}",
            hosts=(f"127.0.0.1:{sink}",),
            tls="none",
            state="live",
            backlog=1_000_000,  # counted all the same, and never reached
            **login,
        )


def _senders(size: Size) -> Iterator[Sender]:
    for n in range(size.links):
        owner = n % size.connectors
        yield Sender(link_key(n), f"a{owner}", f"c{owner}")
