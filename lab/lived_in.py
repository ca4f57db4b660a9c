"""A Postfix as people have it: a DKIM signer, a content filter, lanes and maps of the admin's own.

Debian's stock main.cf and master.cf with their comments, chroot included, and on top what
has gathered over the years.
"""

import asyncio
import shutil
import signal
import smtplib
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dkim
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lab.client import message, transaction
from lab.instance import Instance, free_port, wait_until
from lab.nexthop import Received

MAIN_CF = """
# -- the town's mail, since 2009. Ask Anna before you change anything here!
smtpd_milters =
    # signs what leaves
    inet:127.0.0.1:{dkim}
non_smtpd_milters = inet:127.0.0.1:{dkim}
milter_default_action = accept

header_checks = pcre:$config_directory/header_checks
milter_header_checks = pcre:$config_directory/milter_header_checks
smtp_generic_maps   =   texthash:$config_directory/generic
virtual_alias_maps = texthash:$config_directory/virtual
transport_maps = texthash:$config_directory/transport
sender_dependent_relayhost_maps = texthash:$config_directory/relays
"""
TABLES = {
    "header_checks": "/^Subject: secret/ DISCARD\n",
    "milter_header_checks": "/^X-/ WARN an odd field\n",
    "generic": "root@mx.lab.test postmaster@town.test\n",
    "virtual": "info@town.test someone@example.net\n",
    "transport": "partner.test partner:[127.0.0.1]:{partner}\n",
    "relays": "@school.test [127.0.0.1]:{school}\n",
}
MASTER_CF = """
# -- ours
{submission}  inet  n       -       y       -       -       smtpd
    -o syslog_name=postfix/submission
# signing is for our own people alone
    -o milter_macro_daemon_name=ORIGINATING
    -o smtpd_milters=inet:127.0.0.1:{dkim}
partner unix - - n - 2 smtp
    -o { smtp_helo_name = gate.town.test }
"""
FILTERED = """
content_filter = scan:[127.0.0.1]:{filter}
"""
FILTER_CF = """
scan unix - - n - 2 smtp
    -o smtp_send_xforward_command=yes
127.0.0.1:{back} inet n - n - - smtpd
    -o content_filter=
    -o smtpd_milters=
    -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks,no_milters
    -o mynetworks=127.0.0.0/8
"""
# What a chrooted daemon of Debian's finds in the queue directory (postfix-script).
CHROOT = ("resolv.conf", "services", "hosts", "nsswitch.conf", "localtime")


@dataclass
class Signer:
    """A real OpenDKIM that signs for every domain."""

    folder: Path
    port: int = field(default_factory=free_port)
    public_key: str = ""

    def start(self) -> None:
        """Make a key and run it."""
        self.folder.mkdir()
        key = rsa.generate_private_key(65537, 2048)
        (self.folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        (self.folder / "key.pem").chmod(0o600)
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_key = "".join(pem.decode().splitlines()[1:-1])
        (self.folder / "keys").write_text(f"one %:lab:{self.folder}/key.pem\n")
        (self.folder / "signing").write_text("* one\n")
        (self.folder / "opendkim.conf").write_text(
            f"Socket inet:{self.port}@127.0.0.1\nMode s\nCanonicalization relaxed/relaxed\n"
            f"KeyTable {self.folder}/keys\nSigningTable refile:{self.folder}/signing\n"
            "ExternalIgnoreList 0.0.0.0/0\nInternalHosts 0.0.0.0/0\nRequireSafeKeys no\nSyslog no\n"
        )
        command = ["/usr/sbin/opendkim", "-f", "-x", str(self.folder / "opendkim.conf")]
        self._process = subprocess.Popen(command)
        wait_until(self._answers, "OpenDKIM to listen")

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def verifies(self, received: Received) -> bool:
        """Whether the signature of a message is right, as it arrived."""
        record = f"v=DKIM1; k=rsa; p={self.public_key}".encode()
        return bool(dkim.verify(received.data, dnsfunc=lambda *_, **__: record))

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=10)


class Filter:
    """A content filter as amavis is wired: SMTP in, a field more, SMTP out to the back port."""

    def __init__(self, back: int) -> None:
        self.back = back
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Pass a message on, and only then take it."""
        content = b"X-Filtered: yes\r\n" + bytes(envelope.original_content or b"")
        await asyncio.to_thread(self._pass_on, envelope, content)
        return "250 passed on"

    def _pass_on(self, envelope: Envelope, content: bytes) -> None:
        with smtplib.SMTP("127.0.0.1", self.back) as smtp:
            smtp.sendmail(envelope.mail_from or "", envelope.rcpt_tos, content)

    def start(self) -> None:
        """Listen."""
        self._controller.start()

    def stop(self) -> None:
        """Stop listening."""
        self._controller.stop()


@dataclass
class LivedIn:
    """The instance with its neighbours."""

    postfix: Instance
    signer: Signer
    submission: int = field(default_factory=free_port)
    filter: Filter | None = None

    def furnish(self, *, partner: int, school: int, filtered: bool = False) -> None:
        """Write what the admin has written over the years."""
        postfix, folder = self.postfix, self.postfix.config_directory
        ports = {"dkim": self.signer.port, "submission": self.submission}
        ports |= {"partner": partner, "school": school}
        main, master = MAIN_CF, _stock_master(postfix.port) + MASTER_CF
        if filtered:
            self.filter = Filter(free_port())
            ports |= {"filter": self.filter.port, "back": self.filter.back}
            main, master = main + FILTERED, master + FILTER_CF
            self.filter.start()
        with (folder / "main.cf").open("a") as file:
            file.write(_filled(main, ports))
        (folder / "master.cf").write_text(_filled(master, ports))
        for name, text in TABLES.items():
            (folder / name).write_text(_filled(text, ports))
        etc = postfix.queue_directory / "etc"
        etc.mkdir()
        for name in CHROOT:
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), etc / name)

    def send(
        self, sender: str, from_: str, subject: str, to: str | Sequence[str] = "x@ext.test"
    ) -> int:
        """Send one message as a client on this host; the code of the last answer."""
        with smtplib.SMTP("127.0.0.1", self.postfix.port, "client.lab") as smtp:
            smtp.ehlo()
            return transaction(smtp, sender, to, message(from_, subject)).code

    def stop(self) -> None:
        """Stop the neighbours."""
        self.signer.stop()
        if self.filter:
            self.filter.stop()


def _filled(text: str, ports: dict[str, int]) -> str:
    for name, port in ports.items():
        text = text.replace(f"{{{name}}}", str(port))
    return text


def _stock_master(port: int) -> str:
    """Debian's master.cf, comments, chroot and all, on a port of our own."""
    stock = Path("/usr/share/postfix/master.cf.dist").read_text()
    lines = [
        line.replace("smtp ", f"{port} ", 1) if line.startswith("smtp      inet") else line
        for line in stock.splitlines(keepends=True)
    ]
    return "".join(lines)
