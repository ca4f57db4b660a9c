"""Who gives access tokens: addresses, scopes, and what can't work with whom.

Google grants no mail scope to devices (its page "OAuth 2.0 for TV and limited-input
devices" lists what it does grant), hence `browser` for it.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pointsman.errors import UsageError

if TYPE_CHECKING:
    from pointsman.store.records import Connector

AUTO = "auto"
FLOWS = ("device", "browser", "client-credentials", "service-account")
ASKING = ("device", "browser")  # a person has to agree, once: `connector authorize`

# Every field that a flow can't do without, besides the user name; no other may be given.
_NEEDS = {
    "device": ("client_id",),
    "browser": ("client_id",),
    "client-credentials": ("client_id", "client_secret"),
    "service-account": ("service_account",),
}
_MAY = {"device": ("client_secret",), "browser": ("client_secret",)}


@dataclass(frozen=True)
class Provider:
    """One of them; `{}` in an address stands for the tenant."""

    flows: tuple[str, ...]  # the first is the default
    token_url: str = ""
    device_url: str = ""
    browser_url: str = ""
    scopes: dict[str, str] = field(default_factory=dict)


_MICROSOFT = "https://login.microsoftonline.com/{}/oauth2/v2.0"
_DELEGATED = "https://outlook.office.com/SMTP.Send offline_access"
_GMAIL = "https://mail.google.com/"
PROVIDERS = {
    "microsoft": Provider(
        ("device", "browser", "client-credentials"),
        f"{_MICROSOFT}/token",
        f"{_MICROSOFT}/devicecode",
        f"{_MICROSOFT}/authorize",
        {
            "device": _DELEGATED,
            "browser": _DELEGATED,
            "client-credentials": "https://outlook.office365.com/.default",
        },
    ),
    "google": Provider(
        ("browser", "service-account"),
        "https://oauth2.googleapis.com/token",
        browser_url="https://accounts.google.com/o/oauth2/v2/auth",
        scopes={"browser": _GMAIL, "service-account": _GMAIL},
    ),
    "other": Provider(FLOWS),
}
_OF_PRESET = {"office365": "microsoft", "gmail": "google", "google-relay": "google"}


@dataclass(frozen=True)
class Endpoints:
    """Where and for what to ask."""

    flow: str
    token_url: str
    asking_url: str  # where a person's consent begins; "" if none is needed
    scope: str


def endpoints(connector: "Connector") -> Endpoints:
    """What the connector says, else what its provider publishes."""
    provider = PROVIDERS[provider_of(connector)]
    flow = connector.oauth_flow if connector.oauth_flow != AUTO else provider.flows[0]
    asking = {"device": provider.device_url, "browser": provider.browser_url}.get(flow, "")
    return Endpoints(
        flow,
        connector.token_url or provider.token_url.format(connector.tenant),
        (connector.consent_url or asking.format(connector.tenant)) if flow in ASKING else "",
        connector.scope or provider.scopes.get(flow, ""),
    )


def provider_of(connector: "Connector") -> str:
    """As the admin says, else as the preset implies."""
    if connector.oauth_provider != AUTO:
        return connector.oauth_provider
    return _OF_PRESET.get(connector.preset, "other")


def account_of(connector: "Connector") -> str:
    """A digest of whose tokens these are: with another client or user they are of no use."""
    where = endpoints(connector)
    parts = [connector.client_id, connector.username, where.flow, where.token_url, where.scope]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def check_oauth(connector: "Connector") -> None:
    """Refuse what no provider would give a token for, or what would give it away."""
    if connector.tls in ("none", "may"):
        raise UsageError("--auth oauth2 needs --tls starttls or tls: a token is as good as a login")
    name = provider_of(connector)
    where = endpoints(connector)
    if where.flow not in PROVIDERS[name].flows:
        raise UsageError(
            f"{name} gives no token for mail by --oauth-flow {where.flow}: choose from "
            f"{', '.join(PROVIDERS[name].flows)}"
        )
    if name == "microsoft" and not (connector.tenant or connector.token_url):
        raise UsageError("--oauth-provider microsoft needs --tenant: the directory's id or domain")
    if name != "microsoft" and connector.tenant:
        raise UsageError("--tenant is only for --oauth-provider microsoft")
    _check_fields(connector, where.flow)
    if not where.token_url:
        raise UsageError("--oauth-provider other needs --token-url")
    if where.flow in ASKING and not where.asking_url:
        raise UsageError(
            f"--oauth-provider other with --oauth-flow {where.flow} needs --consent-url"
        )


def _check_fields(connector: "Connector", flow: str) -> None:
    options = {
        "client_id": "--client-id",
        "client_secret": "--client-secret-file",
        "service_account": "--service-account-file",
    }
    needed = ("username", *_NEEDS[flow])
    for name in needed:
        if not getattr(connector, name):
            raise UsageError(f"--oauth-flow {flow} needs {options.get(name, '--username')}")
    for name, option in options.items():
        if getattr(connector, name) and name not in (*needed, *_MAY.get(flow, ())):
            raise UsageError(f"{option} is not for --oauth-flow {flow}")
