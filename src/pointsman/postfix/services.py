"""The smtpd services of a Postfix: which ask us, and on which side of a content filter. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pointsman.errors import PointsmanError
from pointsman.postfix.without import options
from pointsman.routing.decide import BACK, FRONT

LOOPBACK = ("127.", "[::1]", "::1", "localhost")

# What the milter is told of a service, besides FRONT and BACK.
WHOLE = "whole"  # no content filter follows: all is done at once


class ServicesError(PointsmanError):
    """A service was named that is not there."""


@dataclass(frozen=True)
class Smtpd:
    """One smtpd service of master.cf."""

    service: str  # `submission/inet`
    options: Mapping[str, str]
    content_filter: str  # as in effect

    @property
    def name(self) -> str:
        """As master.cf spells it: `submission`, `127.0.0.1:10025`."""
        return self.service.partition("/")[0]

    @property
    def role(self) -> str:
        """On which side of a content filter it is."""
        if self.content_filter:
            return FRONT
        emptied = "content_filter" in self.options
        return BACK if emptied and self.name.startswith(LOOPBACK) else WHOLE

    @property
    def without_milters(self) -> str:
        """The option by which the admin keeps milters away from it, or ''."""
        if self.options.get("smtpd_milters") == "":
            return "smtpd_milters="
        overrides = self.options.get("receive_override_options", "")
        return "receive_override_options=no_milters" if "no_milters" in overrides else ""


def smtpd_services(entries: Mapping[str, str], content_filter: str) -> list[Smtpd]:
    """All of them; behind postscreen(8) their type is `pass`."""
    return list(_found(entries, content_filter))


def _found(entries: Mapping[str, str], content_filter: str) -> Iterator[Smtpd]:
    for service, entry in entries.items():
        if entry.split()[7] == "smtpd":
            given = options(entry)
            yield Smtpd(service, given, given.get("content_filter", content_filter))


def address(smtpd: Smtpd, interfaces: str) -> str:
    """Where clients find it; `interfaces` is inet_interfaces."""
    kind = smtpd.service.rpartition("/")[2]
    if kind != "inet":
        return "behind postscreen" if kind == "pass" else f"a {kind} socket"
    host, _, port = smtpd.name.rpartition(":")
    return f"{host or interfaces}, port {port}"


def filtered(services: Sequence[Smtpd]) -> list[Smtpd]:
    """All services where there is a content filter; else none has a role."""
    return list(services) if any(s.role == FRONT for s in services) else []


def reason(smtpd: Smtpd, services: Sequence[Smtpd]) -> str:
    """What is special about one of them, by which it asks us or does not; or ''."""
    role = smtpd.role if smtpd in filtered(services) else WHOLE
    if role == FRONT:
        return f"hands its mail to {smtpd.content_filter}"
    if role == BACK:
        return "takes mail back from the content filter"
    return f"has -o {option}" if (option := smtpd.without_milters) else ""


def chosen(services: Sequence[Smtpd], names: Sequence[str]) -> list[Smtpd]:
    """Those that ask us: as named, else all but those that the admin keeps milters away from."""
    known = {s.name for s in services}
    strange = [name for name in names if name not in known]
    if strange:
        raise ServicesError(
            f"there is no smtpd service {strange[0]} in master.cf: choose from {', '.join(known)}"
        )
    if names:
        return [s for s in services if s.name in names]
    backs = {s.service for s in filtered(services) if s.role == BACK}
    return [s for s in services if not s.without_milters or s.service in backs]
