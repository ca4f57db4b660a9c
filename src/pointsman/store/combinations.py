"""What goes together in one record: refused in a sentence, where each value alone is right."""

from pointsman.errors import UsageError
from pointsman.routing.snapshot import DEFAULT_AGENCY
from pointsman.routing.turns import TURNS
from pointsman.store.checks import is_literal
from pointsman.store.fields import settings
from pointsman.store.modes import LOGINS
from pointsman.store.presets import check_auth
from pointsman.store.providers import check_oauth
from pointsman.store.records import Agency, Connector, Sender


def check_connector(connector: Connector) -> Connector:
    """Refuse combinations that could not work or would not be safe."""
    if not connector.hosts:
        raise UsageError(f"connector {connector.name} needs --host")
    _check_tls(connector)
    check_auth(connector.preset, connector.auth)
    _check_login(connector)
    return connector


def _check_login(connector: Connector) -> None:
    """Insist on what the way to log in needs, and on nothing of the others."""
    auth, fields = connector.auth, settings(Connector)
    if not all(getattr(connector, name) for name in LOGINS[auth]):
        options = dict.fromkeys(fields[name][0].option(name) for name in LOGINS[auth])
        raise UsageError(f"--auth {auth} needs {' and '.join(options)}")
    for name, (field, default) in fields.items():
        if field.auths and auth not in field.auths and getattr(connector, name) != default:
            ways = " or ".join(field.auths)
            raise UsageError(f"{field.option(name)} is only for --auth {ways}")
    if auth == "certificate" and connector.tls in ("none", "may"):
        raise UsageError("--auth certificate needs --tls starttls or tls: it is shown in TLS alone")
    if auth == "oauth2":
        check_oauth(connector)


def _check_tls(connector: Connector) -> None:
    tls, pins, name = connector.tls, connector.fingerprints, connector.server_name
    verifying = {"--ca-file": connector.ca, "--fingerprint": pins, "--server-name": name}
    if tls in ("none", "may"):
        for option in (option for option, value in verifying.items() if value):
            raise UsageError(f"{option} has no effect with --tls {tls}: use starttls or tls")
        return
    if pins and connector.ca:
        raise UsageError("--fingerprint counts instead of --ca-file: give one of the two")
    for host, _ in connector.addresses:
        if is_literal(host) and not (pins or name):
            raise UsageError(
                f"--tls {tls} verifies the certificate by host name: give the server's name, not "
                "its address, or --server-name, or --fingerprint"
            )


def check_agency(agency: Agency) -> Agency:
    """Insist that somebody may send for an agency."""
    if agency.name != DEFAULT_AGENCY and not (
        agency.logins or agency.networks or agency.any_client
    ):
        raise UsageError(
            f"who may send for agency {agency.name}? Give --login, --network or --any-client"
        )
    return agency


def check_sender(sender: Sender) -> Sender:
    """Insist on a turn where there are several connectors, and only there."""
    several = len(set(sender.ways)) > 1
    if several and sender.turn not in TURNS:
        raise UsageError(f"several connectors: say how they take turns, --turn {'|'.join(TURNS)}")
    if not several and sender.turn:
        raise UsageError("--turn is for several connectors: give --connector more than once")
    return sender
