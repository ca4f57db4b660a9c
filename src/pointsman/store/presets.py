"""What providers ask for and publish: what `--preset` fills in, and which logins they take.

Rates are the provider's own figures for one account. Where they differ from account to
account (SES), none is set: an admin knows theirs better than we do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsman.errors import UsageError

OTHER = "other"


@dataclass(frozen=True)
class Preset:
    """One provider: values for what the admin does not say, and what can't be otherwise."""

    auths: tuple[str, ...]  # the first is the default
    values: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""  # `{}` stands for the region
    regions: str = ""  # what --region is here; "" if there is none
    default_region: str = ""
    advice: str = ""  # what else the admin should know


PRESETS = {
    "office365": Preset(
        ("oauth2",),
        {
            "processes": 3,
            "rate": "30/minute; 10000 recipients/day",
            "envelope": "align",
        },
        "smtp.office365.com:587",
    ),
    "office365-relay": Preset(
        ("certificate", "none"),
        {"processes": 5},
        advice="--host is the tenant's own: DOMAIN.mail.protection.outlook.com:25",
    ),
    "gmail": Preset(
        ("oauth2", "password"),
        {"processes": 3, "rate": "2000/day; 10000 recipients/day"},
        "smtp.gmail.com:587",
    ),
    "google-relay": Preset(
        ("none", "password", "oauth2"),
        {"rate": "319444 recipients/10 minutes; 4600000 recipients/day", "envelope": "align"},
        "smtp-relay.gmail.com:587",
    ),
    "ses": Preset(
        ("password",),
        {"envelope": "align"},
        "email-smtp.{}.amazonaws.com:587",
        regions="AWS's name of the region, for instance eu-west-1",
        advice="give --rate what your account may send (AWS: GetSendQuota)",
    ),
    "sendgrid": Preset(("password",), {"username": "apikey"}, "smtp.sendgrid.net:587"),
    "mailgun": Preset(
        ("password",),
        {},
        "smtp.{}mailgun.org:587",
        regions="eu for an account there",
        default_region="us",
    ),
    OTHER: Preset(()),
}
_MAILGUN = {"us": "", "eu": "eu."}


def filled(preset: str, region: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A new connector's values: the preset's where the admin gave none.

    Raises UsageError where the provider needs something that is missing.
    """
    known = PRESETS[preset]
    found: dict[str, Any] = dict(known.values)
    if known.auths and "auth" not in values:
        found["auth"] = known.auths[0]
    host = _host(preset, known, region)
    if host and "hosts" not in values:
        found["hosts"] = (host,)
    elif preset != OTHER and "hosts" not in values:
        raise UsageError(f"--preset {preset} needs --host: {known.advice}")
    if known.auths and "tls" not in values:
        found["tls"] = "starttls"
    return {**found, **values}


def _host(name: str, preset: Preset, region: str) -> str:
    if not preset.regions:
        if region:
            raise UsageError(f"--preset {name} has no regions")
        return preset.host
    region = region or preset.default_region
    if not region:
        raise UsageError(f"--preset {name} needs --region: {preset.regions}")
    if name == "mailgun":
        if region not in _MAILGUN:
            raise UsageError(f"--region {region!r}: choose from {', '.join(_MAILGUN)}")
        return preset.host.format(_MAILGUN[region])
    return preset.host.format(region)


def check_auth(preset: str, auth: str) -> None:
    """Refuse a login that the provider does not take."""
    allowed = PRESETS[preset].auths
    if allowed and auth not in allowed:
        raise UsageError(
            f"--preset {preset} takes --auth {' or '.join(allowed)}, not {auth}; for a server "
            "that differs, use --preset other"
        )
