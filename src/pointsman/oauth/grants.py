"""Asks a provider for tokens: RFC 6749, 7523 (service account), 7636 (PKCE), 8628 (device).

The HTTP library is httpx, PyJWT signs. No text of an error has a secret in it.
"""

import base64
import hashlib
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt

from pointsman.errors import PointsmanError
from pointsman.postfix.lane import SYSTEM_CA_FILE
from pointsman.store.providers import Endpoints

TIMEOUT = 10.0  # seconds for each request
HOUR = 3600
# Where the browser is sent in the end: nobody listens there, the person copies the address.
REDIRECT = "http://localhost:8765"
SLOWER = 5.0  # seconds more, when told to slow down (RFC 8628, 3.5)
_ENDED = {  # RFC 8628, 3.5
    "access_denied": "the person did not allow it",
    "expired_token": "nobody entered the code in time: run it again",
}
_SECRET = ("client_secret", "refresh_token", "assertion", "device_code", "code", "code_verifier")


class GrantError(PointsmanError):
    """The provider gave no token; `code` is its own word for why, "" if it gave none."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Client:
    """Who asks, all secrets open."""

    where: Endpoints
    username: str
    client_id: str = ""
    client_secret: str = ""
    service_account: str = ""  # Google's JSON key


@dataclass(frozen=True)
class Token:
    """What was given; times in seconds since the epoch."""

    access: str
    obtained: float
    expires: float
    refresh: str = ""


@dataclass(frozen=True)
class Device:
    """A device's code, while the person has not agreed yet."""

    code: str
    user_code: str
    url: str
    interval: float  # seconds between questions
    lifetime: float  # seconds


@dataclass(frozen=True)
class Browser:
    """An address for the person's browser, and what proves that the answer belongs to it."""

    url: str
    state: str
    verifier: str


def fetch(client: Client, refresh: str, now: float) -> Token:
    """Get a new access token; `refresh` is the refresh token, where the flow has one."""
    flow = client.where.flow
    if flow == "service-account":
        form = {"grant_type": _JWT_BEARER, "assertion": _assertion(client, now)}
    elif flow == "client-credentials":
        form = {"grant_type": "client_credentials", "scope": client.where.scope, **_own(client)}
    else:
        form = {"grant_type": "refresh_token", "refresh_token": refresh, **_own(client)}
    return _token(_post(client.where.token_url, form), now, refresh)


_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def _own(client: Client) -> dict[str, str]:
    secret = {"client_secret": client.client_secret} if client.client_secret else {}
    return {"client_id": client.client_id, **secret}


def _assertion(client: Client, now: float) -> str:
    key = json.loads(client.service_account)
    claims = {
        "iss": key["client_email"],
        "sub": client.username,
        "scope": client.where.scope,
        "aud": client.where.token_url,
        "iat": int(now),
        "exp": int(now) + HOUR,
    }
    headers = {"kid": key["private_key_id"]} if "private_key_id" in key else None
    return jwt.encode(claims, key["private_key"], algorithm="RS256", headers=headers)


# -- a person agrees


def begin_device(client: Client) -> Device:
    """Ask for a code that a person enters in a browser, anywhere."""
    form = {"scope": client.where.scope, **_own(client)}
    answer = _post(client.where.asking_url, form)
    try:
        return Device(
            str(answer["device_code"]),
            str(answer["user_code"]),
            # Google's own word, from before the RFC.
            str(answer.get("verification_uri") or answer["verification_url"]),
            float(answer.get("interval", SLOWER)),
            float(answer["expires_in"]),
        )
    except (KeyError, ValueError, TypeError):
        raise GrantError(f"{_host(client.where.asking_url)} gave no device code") from None


def ask_device(client: Client, device: Device, now: float) -> Token | str:
    """Ask once whether the person has agreed; returns what to wait for if not yet."""
    form = {"grant_type": _DEVICE_CODE, "device_code": device.code, **_own(client)}
    try:
        return _token(_post(client.where.token_url, form), now, "")
    except GrantError as error:
        if error.code in ("authorization_pending", "slow_down"):
            return error.code
        if error.code in _ENDED:
            raise GrantError(_ENDED[error.code], error.code) from None
        raise


def begin_browser(client: Client) -> Browser:
    """Make the address at which a person agrees."""
    state, verifier = secrets.token_urlsafe(16), secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": REDIRECT,
        "scope": client.where.scope,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "login_hint": client.username,
        # Google gives a refresh token only if asked like this; others ignore it.
        "access_type": "offline",
        "prompt": "consent",
    }
    return Browser(f"{client.where.asking_url}?{urlencode(query)}", state, verifier)


def finish_browser(client: Client, browser: Browser, pasted: str, now: float) -> Token:
    """Turn the address at which the browser ended into tokens."""
    answer = {name: values[0] for name, values in parse_qs(urlsplit(pasted).query).items()}
    if "error" in answer:
        raise GrantError(f"it was not allowed in the browser: {answer['error']}", answer["error"])
    if answer.get("state") != browser.state or "code" not in answer:
        raise GrantError(
            f"that is not the address at which the browser ended: it begins with {REDIRECT}"
        )
    form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": REDIRECT}
    form |= {"code_verifier": browser.verifier, **_own(client)}
    return _token(_post(client.where.token_url, form), now, "")


# -- talking


def _token(answer: Mapping[str, Any], now: float, refresh: str) -> Token:
    """Read an answer; a provider that gives no new refresh token means the old one."""
    access = answer.get("access_token")
    if not isinstance(access, str) or not access.isascii() or not access.isprintable():
        raise GrantError("the provider's answer has no access token in it")
    try:
        lifetime = float(answer.get("expires_in", HOUR))
    except (TypeError, ValueError):
        lifetime = HOUR
    return Token(access, now, now + lifetime, str(answer.get("refresh_token") or refresh))


def _post(url: str, form: Mapping[str, str]) -> dict[str, Any]:
    host = _host(url)
    try:
        response = httpx.post(url, data=form, timeout=TIMEOUT, verify=_context())
        answer = response.json()
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise GrantError(f"{host} can't be asked for a token: {why}") from None
    except ValueError:
        raise GrantError(f"{host} answers HTTP {response.status_code}, and no JSON") from None
    if not isinstance(answer, dict):
        raise GrantError(f"{host} answers what is no JSON object")
    if response.is_error or "error" in answer:
        code = str(answer.get("error", f"HTTP {response.status_code}"))
        words = " ".join(str(answer.get("error_description", "")).split())
        raise GrantError(_without_secrets(f"{host} answers {code}: {words}", form), code)
    return answer


def _without_secrets(text: str, form: Mapping[str, str]) -> str:
    for name in _SECRET:
        if form.get(name):
            text = text.replace(form[name], "***")
    return text.removesuffix(": ")[:300]


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    """The CA certificates that the lanes trust, not the library's own."""
    return ssl.create_default_context(cafile=str(SYSTEM_CA_FILE))
