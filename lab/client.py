"""Clients: SMTP with every detail in hand, and sendmail(1) as any user."""

import os
import re
import smtplib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from lab.instance import Instance

SENDMAIL = "/usr/sbin/sendmail"


@dataclass(frozen=True)
class Reply:
    """What the server said last, and the queue id if it took the message."""

    code: int
    text: str

    @property
    def queue_id(self) -> str:
        """The message's queue id; '' if it was not taken."""
        match = re.search(r"queued as (\S+)", self.text)
        return match[1] if match else ""


def message(
    from_: str | None, subject: str = "test", body: str = "hello", extra: Sequence[str] = ()
) -> bytes:
    """A message's bytes; `from_` is the raw value of its From field, None for no such field."""
    fields = [*extra, f"Subject: {subject}"]
    if from_ is not None:
        fields.insert(0, f"From: {from_}")
    text = "\r\n".join([*fields, "", body, ""])
    return text.encode("utf-8", "surrogateescape")


def send(
    instance: Instance,
    sender: str,
    recipients: str | Sequence[str],
    content: bytes,
    *,
    login: str = "",
    address: str = "",
) -> Reply:
    """Hand one message to Postfix by SMTP; `login` and `address` by XCLIENT."""
    with smtplib.SMTP("127.0.0.1", instance.port, local_hostname="client.lab") as smtp:
        begin(smtp, login, address)
        return transaction(smtp, sender, recipients, content)


def begin(smtp: smtplib.SMTP, login: str = "", address: str = "") -> None:
    """Greet, and become another client if asked to."""
    smtp.ehlo()
    if login or address:
        smtp.docmd(f"XCLIENT ADDR={address or '198.51.100.1'} LOGIN={login or '[UNAVAILABLE]'}")
        smtp.ehlo()


def transaction(
    smtp: smtplib.SMTP, sender: str, recipients: str | Sequence[str], content: bytes
) -> Reply:
    """One message in an open session; the first refusal ends it."""
    path = sender if sender.startswith("<") else f"<{sender}>"
    smtp.command_encoding = "utf-8"
    utf8 = "" if path.isascii() else " SMTPUTF8"
    commands = [f"MAIL FROM:{path}{utf8}"]
    commands += [
        f"RCPT TO:<{r}>" for r in ([recipients] if isinstance(recipients, str) else recipients)
    ]
    for command in [*commands, "DATA"]:
        code, text = smtp.docmd(command)
        if code >= 400:
            smtp.rset()
            return Reply(code, text.decode("utf-8", "replace"))
    smtp.send(dot_stuffed(content) + b".\r\n")
    code, text = smtp.getreply()
    return Reply(code, text.decode("utf-8", "replace"))


def dot_stuffed(content: bytes) -> bytes:
    """Escape lines that begin with a dot (RFC 5321 4.5.2)."""
    return re.sub(rb"(?m)^\.", b"..", content)


def sendmail(
    instance: Instance,
    recipients: Sequence[str],
    content: bytes,
    *options: str,
    user: str = "www-data",
) -> None:
    """Submit a message by the sendmail command, as a local user.

    postdrop(1) is setgid, and then trusts only the machine's own /etc/postfix. Started
    with postdrop as its group already, it gains nothing, and takes this instance's.
    """
    identity = [f"--reuid={user}", "--regid=postdrop", "--clear-groups"]
    result = subprocess.run(
        ["setpriv", *identity, SENDMAIL, *options, *recipients],
        input=content.replace(b"\r\n", b"\n"),
        check=False,
        capture_output=True,
        env={**os.environ, "MAIL_CONFIG": str(instance.config_directory)},
    )
    if result.returncode:
        raise RuntimeError(f"sendmail: {result.stderr.decode('utf-8', 'replace')}")


def send_authenticated(
    instance: Instance, sender: str, recipient: str, content: bytes, login: str, password: str
) -> Reply:
    """Hand one message to Postfix after a real SASL login, from a host of its own.

    Mail from sendmail(1) shows 127.0.0.1 to the milter: this is another client.
    """
    host, own = "127.0.0.1", ("127.0.0.2", 0)
    with smtplib.SMTP(host, instance.port, "client.lab", source_address=own) as smtp:
        smtp.ehlo()
        smtp.login(login, password)
        return transaction(smtp, sender, recipient, content)
