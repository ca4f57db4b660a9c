"""What the agent hands to the submission helper, each in a file of its connector's.

`way`: where mail goes and how safely, world-readable, written by apply with the lane.
`access`: the access token, for root and the helper's group alone, written when it is renewed.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pointsman.store.providers import account_of
from pointsman.store.records import Connector

_FIELDS = (
    "name",
    "hosts",
    "tls",
    "username",
    "ca",
    "server_name",
    "fingerprints",
    "source_address",
    "helo",
    "processes",
)


@dataclass(frozen=True)
class Way:
    """How to reach a connector's server, and whose tokens it takes."""

    connector: Connector
    account: str


@dataclass(frozen=True)
class Access:
    """A token as the helper gets it; "" if there is none, and why."""

    account: str
    token: str = ""
    expires: float = 0.0  # seconds since the epoch
    trouble: str = ""

    def lacking(self, account: str, now: float) -> str:
        """Why this is no token to log in with; "" if it is one."""
        if self.account == account and self.token and self.expires > now:
            return ""
        return self.trouble or "it has no access token yet"


def way_text(connector: Connector) -> str:
    """A way as a file's text; no secret among it."""
    values = {name: getattr(connector, name) for name in _FIELDS}
    return json.dumps({**values, "account": account_of(connector)}, indent=1) + "\n"


def read_way(path: Path) -> Way:
    """Read it again; raises OSError, ValueError, KeyError or TypeError."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    account = data.pop("account")
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in data.items()}
    return Way(Connector(**values), account)


def access_text(access: Access) -> str:
    """A token as a file's text."""
    return json.dumps(asdict(access)) + "\n"


def read_access(path: Path) -> Access:
    """Read it again; what can't be read is no token."""
    try:
        return Access(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Access("")
    except (OSError, ValueError, TypeError) as error:
        return Access("", trouble=f"{path} can't be read: {error}")


def digest(token: str) -> str:
    """What names a token where it must not be shown."""
    return hashlib.sha256(token.encode()).hexdigest()
