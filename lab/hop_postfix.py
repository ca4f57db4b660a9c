"""A next hop that is a Postfix of its own: a provider's submission service, by other people's code.

TLS is Postfix's, AUTH is Cyrus SASL's. Each port is one smtpd(8) with options of its own. What
arrives lies in a maildir, and Postfix's own Received field says who brought it, and how.
"""

import re
import shutil
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default as default_policy
from pathlib import Path

from lab.instance import Instance, free_port, wait_until
from lab.nexthop import Received
from pointsman.postfix.conf import service_entry

NOBODY = 65534
_TLS = {
    "none": {"smtpd_tls_security_level": "none"},
    "starttls": {"smtpd_tls_security_level": "may", "smtpd_tls_auth_only": "yes"},
    "tls": {"smtpd_tls_security_level": "encrypt", "smtpd_tls_wrappermode": "yes"},
}
_LOGIN = {
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
}


@dataclass
class PostfixHop:
    """One server, called `name` in what it received; all its ports fill one maildir."""

    name: str
    folder: Path
    instance: Instance = field(init=False)

    def __post_init__(self) -> None:
        self.instance = Instance(self.folder, hostname=f"{self.name}.lab.test")
        self.instance.create(
            {
                "mydestination": "",
                "smtpd_sasl_auth_enable": "no",
                "smtpd_sasl_authenticated_header": "yes",
                "smtpd_tls_received_header": "yes",
                "smtpd_relay_restrictions": "permit_mynetworks, reject",
                # Any address is a mailbox here, and all of them are one.
                "virtual_mailbox_domains": "static:all",
                "virtual_mailbox_base": str(self.folder),
                "virtual_mailbox_maps": "static:inbox/",
                "virtual_uid_maps": f"static:{NOBODY}",
                "virtual_gid_maps": f"static:{NOBODY}",
            }
        )
        self._inbox.mkdir()
        shutil.chown(self._inbox, NOBODY, NOBODY)

    @property
    def _inbox(self) -> Path:
        return self.folder / "inbox"

    def add_login(self, login: str, password: str) -> None:
        """Let a login in from now on, with this password and no other."""
        self.instance.add_login(login, password)

    def listen(
        self, tls: str, certificate: Path | None = None, *, login: bool = False, **more: str
    ) -> int:
        """Add a port, before the start; without `login` it offers no AUTH and takes all mail."""
        stated = {**_TLS[tls], **(_LOGIN if login else {}), **more}
        if certificate:
            stated["smtpd_tls_chain_files"] = str(certificate)
        port = free_port()
        entry = service_entry(f"{port} inet n - n - - smtpd", stated)
        self.instance.postfix("postconf", "-M", f"{port}/inet={entry}")
        return port

    def start(self) -> "PostfixHop":
        """Start it."""
        self.instance.start()
        return self

    def stop(self) -> None:
        """Stop it; what it received stays."""
        self.instance.stop()

    @property
    def received(self) -> list[Received]:
        """What arrived, in no order."""
        files = (self._inbox / "new").glob("*")
        return [_received(self.name, path.read_bytes()) for path in files]

    def wait_for(self, count: int, timeout: float = 30.0) -> list[Received]:
        """Wait until so many messages have arrived."""
        wait_until(lambda: len(self.received) >= count, f"{count} messages", timeout)
        return self.received

    def clear(self) -> None:
        """Forget what has arrived."""
        for path in (self._inbox / "new").glob("*"):
            path.unlink()


def _received(server: str, content: bytes) -> Received:
    """Read Postfix's own Received field: (using TLS...) (Authenticated sender: ...)."""
    message = message_from_bytes(content, policy=default_policy)
    trace = str(message["Received"])  # the first: this server's own
    login = re.search(r"\(Authenticated sender: ([^)]*)\)", trace)
    origin = re.match(r"from (\S+) \(.*?\[([^]]+)\]\)", trace)
    return Received(
        server=server,
        login=login[1].removesuffix("@lab") if login else "",
        password="",
        sender=str(message["Return-Path"]).strip("<>"),
        recipients=(str(message["X-Original-To"]),),
        data=content,
        tls="(using TLS" in trace,
        helo=origin[1] if origin else "",
        peer=origin[2] if origin else "",
    )
