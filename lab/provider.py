"""A provider's token endpoint: real HTTP on this host, answers as RFC 6749 and 8628 say."""

import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs

import jwt

CLIENT, SECRET = "lab-client", "lab-s3cret~%&"


@dataclass
class Provider:
    """Gives access tokens, takes them back, and says no."""

    lifetime: float = 3600.0  # seconds
    public_keys: dict[str, str] = field(default_factory=dict)  # of service accounts, PEM
    device_answers: list[str] = field(default_factory=list)  # errors before the person agreed
    interval: float = 0.0  # seconds between a device's questions
    down: str = ""  # the error that every request gets
    valid: set[str] = field(default_factory=set)  # access tokens
    refreshing: set[str] = field(default_factory=set)  # refresh tokens
    codes: dict[str, str] = field(default_factory=dict)  # of browsers, with their challenges
    requests: list[dict[str, str]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)  # every secret ever given out
    _server: ThreadingHTTPServer | None = None

    def start(self) -> "Provider":
        """Listen on a free port of the loopback address."""
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the port."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str) -> str:
        """An address of ours: token, device or authorize."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def revoke(self) -> None:
        """Take everything back."""
        self.valid.clear()
        self.refreshing.clear()

    def agree(self, challenge: str) -> str:
        """What the person's browser gets when they agree."""
        code = self._new()
        self.codes[code] = challenge
        return code

    def _new(self) -> str:
        secret = token_urlsafe(24)
        self.given.append(secret)
        return secret

    def answer(self, path: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer one request."""
        self.requests.append({"path": path, **form})
        if self.down:
            return 400, {"error": self.down, "error_description": f"told to say {self.down}"}
        if path == "/device":
            code = self._new()
            return 200, {
                "device_code": code,
                "user_code": "ABCD-1234",
                "verification_uri": "https://login.lab.test/device",
                "expires_in": 60,
                "interval": self.interval,
            }
        error = self._refusal(form)
        return (400, {"error": error}) if error else (200, self._token(form))

    def _refusal(self, form: Mapping[str, str]) -> str:
        kind = form.get("grant_type", "").rpartition(":")[2]
        if kind == "jwt-bearer":
            return self._refusal_of_assertion(form["assertion"])
        public = "" if kind == "client_credentials" else SECRET  # where no secret is due
        if form.get("client_id") != CLIENT or form.get("client_secret", public) != SECRET:
            return "invalid_client"
        if kind == "refresh_token" and form.get("refresh_token") not in self.refreshing:
            return "invalid_grant"
        if kind == "device_code" and self.device_answers:
            return self.device_answers.pop(0)
        if kind == "authorization_code":
            digest = sha256(form["code_verifier"].encode()).digest()
            challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
            return "" if self.codes.pop(form["code"], "") == challenge else "invalid_grant"
        return ""

    def _refusal_of_assertion(self, assertion: str) -> str:
        issuer = str(jwt.decode(assertion, options={"verify_signature": False})["iss"])
        try:
            jwt.decode(
                assertion,
                self.public_keys.get(issuer, ""),
                algorithms=["RS256"],
                audience=self.url("token"),
                options={"require": ["exp", "iat", "sub", "scope"]},
            )
        except (jwt.PyJWTError, ValueError):
            return "invalid_grant"
        return ""

    def _token(self, form: Mapping[str, str]) -> dict[str, Any]:
        access = self._new()
        self.valid.add(access)
        answer = {"token_type": "Bearer", "access_token": access, "expires_in": self.lifetime}
        if form["grant_type"].endswith(("device_code", "authorization_code", "refresh_token")):
            # A refresh token is good once: who loses the new one has none.
            self.refreshing.discard(form.get("refresh_token", ""))
            answer["refresh_token"] = self._new()
            self.refreshing.add(self.given[-1])
        return answer


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(text).items()}
        status, answer = self.provider.answer(self.path, form)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""
