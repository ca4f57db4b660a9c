"""A private Postfix with its next hops: what the demo shows and the tests attack.

One server with STARTTLS and AUTH serves two agencies under two logins, one has
implicit TLS and AUTH, one is a plain default relay.
"""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.certs import Authority
from lab.client import Reply, message, send
from lab.instance import Instance, wait_until
from lab.nexthop import NextHop, Received

PASSWORDS = {"court": "c0urt $1 #pass ", "police": "p0lice:\\pass", "tax": "täx pass"}


def new_folder() -> Path:
    """A temporary folder that Postfix's own account can look into."""
    folder = Path(tempfile.mkdtemp(prefix="pointsman-"))
    folder.chmod(0o755)
    return folder


@dataclass(repr=False)
class City:
    """The instance, its next hops and the certificate authority."""

    folder: Path
    postfix: Instance
    authority: Authority
    hops: dict[str, NextHop] = field(default_factory=dict)

    def add_hop(
        self, name: str, *, tls: str = "none", logins: Sequence[str] = (), port: int = 0
    ) -> NextHop:
        """Start one more server."""
        hop = NextHop(
            name,
            {login: PASSWORDS[login] for login in logins},
            certificate=None if tls == "none" else self.authority.issue("localhost"),
            implicit_tls=tls == "tls",
            port=port,
        ).start()
        self.hops[name] = hop
        return hop

    def add_hops(self, ports: Mapping[str, int] | None = None) -> None:
        """Start the three that there always are, on free ports if none are given."""
        known = ports or {}
        logins = ["court", "police"]
        self.add_hop("shared", tls="starttls", logins=logins, port=known.get("shared", 0))
        self.add_hop("tax", tls="tls", logins=["tax"], port=known.get("tax", 0))
        self.add_hop("default", port=known.get("default", 0))

    def password_file(self, login: str) -> str:
        """A file with a login's password, as an admin would have it."""
        path = self.folder / f"{login}.pw"
        path.write_text(PASSWORDS[login])
        path.chmod(0o600)
        return str(path)

    def connector_options(self, hop: str, login: str) -> list[str]:
        """The options of `connector add` for a server with TLS and AUTH."""
        server = self.hops[hop]
        return [
            *("--host", f"localhost:{server.port}"),
            *("--tls", "tls" if server.implicit_tls else "starttls"),
            *("--auth", "password", "--username", login),
            *("--password-file", self.password_file(login)),
            *("--ca-file", str(self.authority.ca_file)),
        ]

    def settle(self) -> int:
        """Wait until Postfix and the milter know the newest revision; return it."""
        newest = json.loads(self.postfix.cli("history", "--json", "--limit", "1"))
        revision = int(newest["revision"])
        pattern = re.compile(r"pointsman/milter\[\d+\]: snapshot revision=(\d+)")

        def known() -> bool:
            found = pattern.findall(self.postfix.log())
            return bool(found) and int(found[-1]) >= revision

        wait_until(known, f"the milter to know revision {revision}", 15)
        return revision

    def outlast_memory(self) -> None:
        """Wait until no link counts as recently changed: all is carried before that."""
        path = self.postfix.state_directory / "snapshot.json"

        def forgotten() -> bool:
            changed = json.loads(path.read_text())["changed"]
            return time.time() > max(changed.values(), default=0.0)

        wait_until(forgotten, "the last change to be an old one", 60)

    def cli(self, *arguments: str) -> str:
        """Change something and wait until it counts."""
        output = self.postfix.cli(*arguments)
        self.settle()
        return output

    def send(
        self,
        sender: str,
        from_: str | None,
        subject: str,
        recipients: str | Sequence[str] = "someone@example.net",
        *,
        login: str = "a-app",
        extra: Sequence[str] = (),
        body: str = "hello",
    ) -> Reply:
        """Send one message as a client of the given login."""
        content = message(from_, subject, body, extra)
        return send(self.postfix, sender, recipients, content, login=login)

    def arrived(self, subject: str, count: int = 1, timeout: float = 15.0) -> list[Received]:
        """Wait for messages with this subject, at whichever server."""

        def look() -> list[Received]:
            return [r for hop in self.hops.values() for r in hop.received if r.subject == subject]

        wait_until(lambda: len(look()) >= count, f"{count} of {subject!r} to arrive", timeout)
        return look()

    def lanes(self, queue_id: str) -> dict[str, str]:
        """Who delivered each recipient, by the mail log: recipient to service."""
        pattern = rf"(\S+)/\w+\[\d+\]: {queue_id}: to=<([^>]*)>.* status=sent"
        return {to: service for service, to in re.findall(pattern, self.postfix.log())}

    def decision(self, queue_id: str) -> str:
        """The milter's line about a message."""
        return self.postfix.wait_for_log(rf"pointsman/milter\[\d+\]: {queue_id}: (.*)")[1]

    def clear(self) -> None:
        """Let every server forget what arrived."""
        for hop in self.hops.values():
            hop.clear()


@contextmanager
def built(
    parameters: Mapping[str, str] | None = None,
    daemons: Sequence[str] = ("policy", "milter", "agent"),
    *,
    chroot: bool = False,
) -> Iterator[City]:
    """A city from nothing, and nothing left of it afterwards."""
    folder = new_folder()
    city = City(folder, Instance(folder / "postfix"), Authority.create(folder / "ca"))
    try:
        city.add_hops()
        relay = {"relayhost": f"[127.0.0.1]:{city.hops['default'].port}"}
        city.postfix.create({**relay, **(parameters or {})})
        if chroot:
            city.postfix.chroot("smtpd", "cleanup")
        city.postfix.start()
        city.postfix.cli("setup", "--no-probe")
        for name in daemons:
            city.postfix.start_daemon(name)
        yield city
    finally:
        city.postfix.stop()
        for hop in city.hops.values():
            hop.stop()
        shutil.rmtree(folder, ignore_errors=True)
