"""What was given for a connector: read, filled up by its preset, secrets sealed."""

from typing import Any

from pointsman.cli.certificate import given_identity
from pointsman.cli.context import Context
from pointsman.cli.fields import ask_password, given
from pointsman.store.fields import check_values, settings
from pointsman.store.presets import OTHER, filled
from pointsman.store.records import Connector


def values_of(ctx: Context, arguments: dict[str, Any], old: Connector | None) -> dict[str, Any]:
    """The fields that change; another way to log in takes those of the former one away."""
    region = arguments.pop("region", None)
    values = given_identity(arguments) | given(Connector, arguments)
    preset = values.get("preset", old.preset if old else OTHER)
    if old is None or preset != old.preset or region:
        values = check_values(Connector, filled(preset, region or "", values))
    auth = values.get("auth", old.auth if old else "none")
    kept = old.password if old else ""
    if auth == "password" and not values.get("password", kept):
        values["password"] = ask_password()
    for name, (field, _) in settings(Connector).items():
        if field.secret and values.get(name):
            values[name] = ctx.store.secrets.seal(values[name])
    if old and auth != old.auth:
        values = {**_of_another_login(auth), **values}
    return values


def _of_another_login(auth: str) -> dict[str, Any]:
    """The fields that this way to log in has no use for, emptied."""
    fields = settings(Connector).items()
    return {name: default for name, (f, default) in fields if f.auths and auth not in f.auths}
