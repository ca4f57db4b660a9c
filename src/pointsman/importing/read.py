"""What was read of a Postfix: plain values, from which routes.py and ways.py conclude."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pointsman.importing.tables import Local, Table

# MX hosts of a domain; () if it has none, None if DNS did not say.
Exchangers = Callable[[str], tuple[str, ...] | None]


@dataclass(frozen=True)
class Remark:
    """What can't be expressed, or is otherwise than it was, and where it stands."""

    text: str
    where: str = ""
    keeps: bool = False  # the old maps are needed on for it


@dataclass(frozen=True)
class Odd:
    """Why something can't be expressed as a connector."""

    why: str


@dataclass(frozen=True)
class Service:
    """A service of master.cf, with the parameters that count in it."""

    name: str
    program: str
    parameters: Mapping[str, str] = field(repr=False)
    passwords: tuple[Table, ...] = field(default=(), repr=False)  # smtp_sasl_password_maps
    policies: tuple[Table, ...] = ()  # smtp_tls_policy_maps
    processes: int = 0  # at most; 0 where master.cf does not say

    def says(self, name: str) -> str:
        """A parameter's value; '' where it is not known."""
        return self.parameters.get(name, "")

    def is_on(self, name: str) -> bool:
        """Whether a parameter is `yes`."""
        return self.says(name).lower() == "yes"


@dataclass(frozen=True)
class Read:
    """All that decides by which way a sender's mail leaves."""

    default_transport: str
    relayhost: str
    services: Mapping[str, Service]
    transports: tuple[Table, ...] = ()  # sender_dependent_default_transport_maps
    relayhosts: tuple[Table, ...] = ()  # sender_dependent_relayhost_maps
    logins: tuple[Table, ...] = ()  # smtpd_sender_login_maps
    local: Local = Local()
    exchangers: Exchangers = lambda _domain: None
    file: Callable[[str], str] = lambda _path: ""  # a file's text; OSError if it can't be read
    remarks: tuple[Remark, ...] = ()
    removable: tuple[str, ...] = ()  # what main.cf needs no more once all connectors are live
