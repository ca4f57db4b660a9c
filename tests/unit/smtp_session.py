"""An SMTP session as libmilter shows it to the milter, for the tests of the session."""

from dataclasses import dataclass, field
from socket import AF_INET

import Milter
from Milter.testctx import TestCtx as Ctx  # named so that pytest does not collect it

from pointsman.milter.asking import Answer


class Context(Ctx):
    """pymilter's own test context, which notes what the milter asks for at the end."""

    def __init__(self):
        super().__init__()
        self.done = []

    def chgfrom(self, sender, params=None):
        self.done.append(("from", sender, params))

    def chgheader(self, field, idx, value):
        self.done.append(("change", field, idx, value))

    def addheader(self, field, value, idx):
        self.done.append(("add", field, value, idx))

    def setreply(self, rcode, xcode, *msg):
        self.done.append(("reply", rcode, xcode, *msg))

    def quarantine(self, reason):
        self.done.append(("hold", reason))


@dataclass
class Connection:
    """One SMTP session, as Postfix shows it to the milter."""

    context: Context = field(default_factory=Context)

    def open(self, family=AF_INET, address=("203.0.113.1", 2525)):
        """Negotiate and connect."""
        self.context._negotiate()
        self.context._stage = -1
        Milter.connect_callback(self.context, "client.test", family, address)
        return self

    @property
    def session(self):
        """The Session that pymilter made."""
        return self.context.getpriv()

    def macros(self, **values):
        """Set macros; those that Postfix leaves out are gone."""
        self.context._macros = {
            name if len(name) == 1 else f"{{{name}}}": value for name, value in values.items()
        }

    def start(self, sender, *recipients, login=None, mailer=None, headers=()):
        """Everything of a message but its end."""
        self.macros(**({"auth_authen": login} if login else {}))
        self.session.envfrom_bytes(sender.encode())
        rcpt = {"rcpt_mailer": mailer, "rcpt_host": "ext.test"} if mailer else {}
        self.macros(**rcpt)
        for recipient in recipients:
            self.session.envrcpt_bytes(recipient.encode())
        for name, value in headers:
            self.session.header_bytes(name, value)

    def end(self):
        """The end of a message: what the milter answers, and what it asks for."""
        self.context.done = []
        self.macros(i="4Q1234")
        answer = self.session.eom()
        return answer, self.context.done

    def send(self, *args, **kwargs):
        """A whole message."""
        self.start(*args, **kwargs)
        return self.end()


class Policy:
    """Answers as told in place of the policy daemon, and keeps what it was asked."""

    def __init__(self):
        self.answer = Answer("DUNNO")
        self.asked = []

    def ask(self, queue_id, charge):
        self.asked.append((queue_id, charge))
        return self.answer
