"""What the tests of the import read: a Postfix in dictionaries."""

from pointsman.importing.proposal import Sealing
from pointsman.importing.read import Read, Service
from pointsman.importing.tables import Local, fixed
from pointsman.routing.snapshot import DEFAULT_AGENCY
from pointsman.store.book import Book
from pointsman.store.records import Agency

SEALING = Sealing(lambda text: f"sealed:{text}", lambda text: text.removeprefix("sealed:"))
HERE = Local(frozenset({"mx.test"}), "+")


def service(name="smtp", passwords=None, policies=None, program="smtp", **says):
    """A service of master.cf."""
    return Service(
        name,
        program,
        {"smtp_tls_security_level": "none", **says},
        (fixed("hash:passwd", passwords or {}),),
        (fixed("hash:policy", policies or {}),),
    )


def town(relays=None, transports=None, services=None, **more):
    """A Postfix with maps of senders."""
    known = services or [service()]
    values = {
        "default_transport": "smtp",
        "relayhost": "",
        "services": {s.name: s for s in known},
        "relayhosts": (fixed("hash:relay", relays or {}),),
        "transports": (fixed("hash:transport", transports or {}),),
        "local": HERE,
        "exchangers": lambda _domain: (),
    }
    return Read(**{**values, **more})


def book(*, agencies=(), connectors=(), senders=()):
    """A database."""
    default = Agency(DEFAULT_AGENCY, any_client=True)
    return Book(
        1,
        {a.name: a for a in (default, *agencies)},
        {c.name: c for c in connectors},
        {s.key: s for s in senders},
    )
